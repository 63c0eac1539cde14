"""The main job: from records to an honest verdict."""

from zenml import pipeline
from zenml.enums import ExecutionMode
from zenml.steps import BaseStep

from primum.config import RunConfig, StackConfig
from primum.stack.cloud_parts import device_settings
from primum.stack.setup import operator_of
from steps.base import find_base
from steps.baselines import fit_baselines
from steps.evaluate import evaluate, find_comparators
from steps.finetune import finetune
from steps.gate import judge
from steps.ingest import ingest_records
from steps.prompts import fit_prompts
from steps.register import register
from steps.report import report
from steps.select import select
from steps.split import make_split


@pipeline(name="finetune", enable_cache=True, execution_mode=ExecutionMode.FAIL_FAST)
def finetune_pipeline(config: RunConfig, output: str) -> None:
    """Ingest -> split -> prompts -> (baselines, LoRA sweep -> select) -> evaluate -> gate -> register -> report."""
    task, model, stack, seed = config.task, config.model, config.stack, config.seed
    base_hash = find_base(model, stack)
    ingested = ingest_records(config, after="find_base")
    split = make_split(ingested, config)
    renderer, prompt_fit = on_device(fit_prompts, stack)(base_hash, split, task, model, stack)
    baselines = fit_baselines(split, task, stack, seed)
    sweep = on_device(finetune, stack)(base_hash, split, renderer, task, model, stack, seed)
    bundle = on_device(select, stack)(sweep, split, renderer, config)
    against = find_comparators(bundle, config)
    evaluation = on_device(evaluate, stack)(split, bundle, baselines, against, config)
    decision = judge(evaluation, bundle, baselines, split, config)
    version = register(bundle, decision, evaluation, baselines, split, config)
    report(
        config,
        output,
        ingested,
        split,
        prompt_fit,
        sweep,
        bundle,
        baselines,
        evaluation,
        decision,
        version,
    )


def on_device(step: BaseStep, stack: StackConfig) -> BaseStep:
    """The step, in a process of its own where the stack computes on a device of this machine, on the GPU machine of
    a cloud."""
    if stack.cloud is not None:
        return step.with_options(settings=device_settings(stack.name, stack.cloud))
    operator = operator_of(stack)
    return step.with_options(step_operator=operator) if operator else step
