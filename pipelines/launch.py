"""Start a pipeline: resolve the configuration, hold the task's lock, open the store, run, say the verdict."""

from __future__ import annotations

import argparse
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console

from primum.config import RunConfig, load_run, parse_overrides, validate
from primum.errors import BadInput
from primum.jobs.devices import resolve_stack
from primum.progress import display, say
from primum.records import ALL_SITES
from primum.workspace import Workspace, find_workspace, only_run, writable

if TYPE_CHECKING:
    from primum.pretraining.config import PretrainReport
    from primum.reports.facts import RunFacts


def finetune(arguments: argparse.Namespace) -> None:
    """Run the finetune pipeline, or with --dry-run only show what it would do."""
    workspace = find_workspace()
    config = resolve(workspace, arguments)
    output = Path(arguments.output) if arguments.output else workspace.home / "outputs"
    if arguments.dry_run:
        print(plan(config, output))
        return
    writable(output, "the output folder")
    with only_run(workspace, config.task.name, say), display():
        if arguments.no_cache:
            shutil.rmtree(workspace.work(config.task.name), ignore_errors=True)
        _run_finetune(workspace, config, output, cache=not arguments.no_cache)


def pretrain(arguments: argparse.Namespace) -> None:
    """Rebuild the embedded base in --output (default: base_model of the outputs); --set changes its config."""
    from primum.pretraining.config import PretrainConfig

    workspace = find_workspace()
    config = validate(PretrainConfig, parse_overrides(arguments.set), "--set")
    output = Path(arguments.output) if arguments.output else workspace.home / "outputs" / "base_model"
    if arguments.dry_run:
        print(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False).rstrip())
        print(f"# plan: train on {config.tokens:,} synthetic tokens and write {output}; nothing was written")
        return
    writable(output.parent, "the output folder")
    with only_run(workspace, "pretrain", say), display():
        from primum.stack.store import bootstrap

        bootstrap(workspace)
        from pipelines.pretrain import pretrain_pipeline

        finished = pretrain_pipeline(config, str(output.resolve()))
        report: PretrainReport = _output(finished, "pretrain", "pretrain_report")
    print(f"{report.parameters:,} parameters, {report.tokens:,} tokens, {report.seconds:.0f} s: {output}")
    for kind, share in report.accuracy.items():
        print(f"  held-out {kind}: accuracy {share:.3f} (chance {report.chance[kind]:.3f})")


def _output(run: Any, step: str, name: str) -> Any:
    """An artifact of a finished run."""
    return run.steps[step].outputs[name][0].load()


def resolve(workspace: Workspace, arguments: argparse.Namespace) -> RunConfig:
    """Defaults, then --config, then --task, --model, --seed, then --set; `auto` is what this machine has."""
    named = {key: getattr(arguments, key) for key in ("task", "model", "seed")}
    overrides = {key: value for key, value in named.items() if value is not None}
    overrides |= parse_overrides(arguments.set)
    config = load_run(workspace.configs, Path(arguments.config) if arguments.config else None, overrides)
    return config.model_copy(update={"stack": resolve_stack(config.stack)})


def plan(config: RunConfig, output: Path) -> str:
    """The resolved configuration as YAML, and what a run would do in words."""
    ranks = ", ".join(str(rank) for rank in config.model.recipe.ranks)
    looks = config.gate.planned_looks
    lines = [
        yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True).rstrip(),
        "",
        f"# plan: task {config.task.name}, {len(config.task.features)} features, seed {config.seed}",
        f"# 1 ingest {config.task.source.kind} {config.task.source.name or config.task.source.path}",
        f"# 2 split {config.task.split.train:g} / {config.task.split.validation:g} / {config.task.split.test:g}"
        f" by patient, stored with DVC remote '{config.stack.dvc_remote}'",
        f"# 3 classical baselines, and LoRA of rank {ranks} on {config.model.name} ({config.stack.backend})",
        f"# 4 one of {looks} planned looks at the holdout, each at alpha {config.gate.alpha / looks:g}",
        f"# 5 gate, registry, report in {output / config.task.name}",
        "# nothing was read or written",
    ]
    return "\n".join(lines)


def _run_finetune(workspace: Workspace, config: RunConfig, output: Path, *, cache: bool) -> None:
    began = time.monotonic()
    from primum.registry import require_ledger
    from primum.stack.store import bootstrap, close_abandoned

    bootstrap(workspace)
    require_ledger(workspace, config.task.name, ALL_SITES)
    from pipelines.finetune import finetune_pipeline
    from primum.stack.setup import require_operator

    require_operator(config.stack)
    note = workspace.state / "locks" / f"{config.task.name}.run"
    close_abandoned(note)

    opened = time.monotonic() - began
    run = f"{datetime.now():%Y-%m-%dT%H-%M-%S}"  # the folder's name is for people: local time
    out_dir = (output / config.task.name / run).resolve()
    if out_dir.exists():
        raise BadInput(f"{out_dir} exists already; wait a second and run again")
    name = f"finetune-{datetime.now(UTC):%Y_%m_%d-%H_%M_%S_%f}"
    note.write_text(name, encoding="utf-8")
    finished = finetune_pipeline.with_options(enable_cache=cache, run_name=name)(config, str(out_dir))
    note.unlink()
    facts: RunFacts = _output(finished, "report", "facts")
    seconds = {"open ZenML's store": opened} | facts.stage_seconds
    total = time.monotonic() - began
    seconds["report and bookkeeping"] = max(0.0, total - sum(seconds.values()))

    from primum.reports.terminal import print_result

    print_result(Console(), facts.model_copy(update={"stage_seconds": seconds}), out_dir)
