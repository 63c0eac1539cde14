"""What does ZenML cost? The finetune pipeline against the same stages called one after another without it.

    python benchmarks/pipeline.py [--repetitions 3] [--out benchmarks/results]

Both sides run in child processes of their own, in turns, with one epoch of training each: cold with an empty
home (no ZenML store yet), warm in the same home with --no-cache, so that every stage is done anew. The plain
side does everything but the registry, which is ZenML's Model Control Plane.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import record

ROOT = Path(__file__).resolve().parents[1]
CHANGES = {"model.recipe.epochs": 1}
GOALS = {"cold": 20, "warm": 8}


def plain() -> None:
    """The stages of pipelines/finetune.py, by the functions that its steps call."""
    from primum import evaluation, generations
    from primum.backends import open_backend
    from primum.backends.base import Run
    from primum.baselines import best_classical, fit_baselines
    from primum.config import load_run
    from primum.decision import decide
    from primum.ingest import ingest
    from primum.records import PARTS, Baselines, Comparators, RegisteredVersion
    from primum.reports.run import gather, publish
    from primum.scoring import examples, prepare_renderer
    from primum.selection import best_candidate, make_bundle
    from primum.versioning import load_part, pointer_note
    from primum.workspace import find_workspace, git_revision

    workspace = find_workspace()
    config = load_run(workspace.configs, None, CHANGES)
    task, now = config.task, datetime.now(UTC)
    work = workspace.work(task.name) / now.strftime("%H%M%S%f")
    ingested = ingest(task, workspace.project, work / "ingest", config.seed)
    split = generations.make_split(workspace, Path(ingested.path), task, config.stack, config.seed)
    parts = {part: load_part(workspace.home, split, part, config.stack) for part in PARTS}
    backend = open_backend(config.model, config.stack, workspace.project)
    renderer, fit = prepare_renderer(backend, task, config.model, *parts.values())
    fits = fit_baselines(parts["train"], parts["validation"], task, config.seed)
    baselines = Baselines(fits=fits, best=best_classical(fits, task.primary_metric))
    candidates = backend.finetune(
        examples(renderer, parts["train"]),
        examples(renderer, parts["validation"]),
        labels=tuple(renderer.verbalizers.values()),
        recipe=config.model.recipe,
        runs=[Run(rank=r, seed=config.seed, out_dir=str(work / f"r{r}")) for r in config.model.recipe.ranks],
    )
    revision = git_revision(workspace.project)
    chosen = best_candidate(candidates)
    bundle = make_bundle(
        chosen,
        backend,
        renderer,
        parts["validation"],
        split=split,
        config=config,
        git_revision=revision,
        out=work / "bundle",
    )
    judged = evaluation.evaluate(
        workspace,
        config,
        split=split,
        candidate=bundle,
        baselines=baselines,
        against=Comparators(champion=None, anchor=None),
        backend=backend,
        now=now,
        run="plain",
    )
    decision = decide(workspace, config, judged, bundle, baselines, split, now)
    facts = gather(
        config=config,
        ingested=ingested,
        split=split,
        prompt_fit=fit,
        candidates=candidates,
        chosen=chosen,
        bundle=bundle,
        baselines=baselines,
        evaluation=judged,
        decision=decision,
        version=RegisteredVersion.model_construct(task=task.name, site="all", number=1, stage=None),
        started=now,
        stage_seconds={},
        cached=False,
        pointer=pointer_note(workspace.home, split),
    )
    publish(workspace.home / "outputs" / "plain" / f"{now:%H%M%S%f}", facts)


def seconds(home: Path, *words: str) -> float:
    """Wall seconds of one child process."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "PRIMUM_HOME": str(home)},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def measure() -> dict[str, tuple[float, float]]:
    """Seconds (with ZenML, without) cold and warm, once."""
    overrides = [word for key, value in CHANGES.items() for word in ("--set", f"{key}={value}")]
    pipeline = ["run.py", "--pipeline", "finetune", *overrides]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "zenml", Path(folder) / "plain"
        for state, more in (("cold", []), ("warm", ["--no-cache"])):
            found[state] = (seconds(ours, *pipeline, *more), seconds(theirs, __file__, "--plain"))
            print(state, *(f"{s:.1f} s" for s in found[state]), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=Path, default=record.RESULTS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        plain()
        return
    runs = [measure() for _ in range(options.repetitions)]
    rows = []
    for state, limit in GOALS.items():
        ours, theirs = (median(run[state][side] for run in runs) for side in (0, 1))
        what = f"finetune pipeline against its stages without ZenML, {state}: seconds, median"
        rows.append(record.row(what, ours, theirs, f"overhead <= {limit} s", ours - theirs <= limit))
    record.write("pipeline", rows, ("zenml", "dvc", "torch"), options.out, runs=runs)


if __name__ == "__main__":
    main()
