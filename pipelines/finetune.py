"""The main job: from records to an honest verdict."""

from zenml import pipeline
from zenml.enums import ExecutionMode

from primum.config import RunConfig
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
    ingested = ingest_records(task, seed, after="find_base")
    split = make_split(ingested, task, stack, seed)
    renderer, prompt_fit = fit_prompts(base_hash, split, task, model, stack)
    baselines = fit_baselines(split, task, stack, seed)
    candidates = [
        finetune(base_hash, split, renderer, task, model, stack, rank, seed, id=f"finetune_r{rank}")
        for rank in model.recipe.ranks
    ]
    bundle = select(candidates, split, renderer, config)
    against = find_comparators(bundle, config)
    evaluation = evaluate(split, bundle, baselines, against, config)
    decision = judge(evaluation, bundle, baselines, split, config)
    version = register(bundle, decision, evaluation, baselines, split, config)
    report(
        config,
        output,
        ingested,
        split,
        prompt_fit,
        candidates,
        bundle,
        baselines,
        evaluation,
        decision,
        version,
    )
