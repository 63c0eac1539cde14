"""The memorisation audit from training to verdict: an over-trained adapter is found, an honest one is not."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from primum import generations, registry
from primum.backends.base import Run
from primum.backends.fake import FakeBackend
from primum.baselines import best_classical, fit_baselines
from primum.bundle import Bundle
from primum.config import RunConfig, load_run
from primum.config.split import OfficialSplit
from primum.decision import decide
from primum.errors import BadInput
from primum.evaluation import evaluate
from primum.ingest import ingest
from primum.ledger import Ledger
from primum.privacy.audit import draw_members, unlike
from primum.privacy.canaries import training_examples
from primum.records import PARTS, Baselines, CheckResult, Comparators, Decision, SplitVersion
from primum.scoring import examples, prepare_renderer
from primum.selection import make_bundle
from primum.versioning import load_part
from primum.workspace import Workspace

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = ["age", "pulse", "lactate"]
NOTE = {"column": "note", "kind": "text"}
BY_HEART = {"ranks": [64], "epochs": 40, "patience": 40}


def write_source(file: Path, random_labels: bool) -> None:
    """200 patients; their labels follow two of the features, or nothing. The notes are words without meaning."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(200, len(COLUMNS)))
    y = rng.integers(0, 2, 200) if random_labels else (x[:, 0] + x[:, 1] > 0).astype(int)
    words = ["".join(rng.choice(list("abcdefghij"), 5)) for _ in range(300)]
    notes = [" ".join(rng.choice(words, 8)) for _ in range(200)]
    frame = pd.DataFrame(x, columns=COLUMNS).assign(
        outcome=y, note=notes, id_number=[f"r{i}" for i in range(200)]
    )
    frame.to_csv(file, index=False)


class Job:
    """The way from a source to a decision, on the fake backend."""

    def __init__(
        self, home: Path, project: Path, *, random_labels: bool, notes: bool = True, **recipe: object
    ) -> None:
        write_source(home / "source.csv", random_labels)
        task = {
            "name": "made_up",
            "source": {"kind": "csv", "path": str(home / "source.csv")},
            "keys": {"record_id": "id_number"},
            "label": {"column": "outcome", "classes": {"no": [0], "yes": [1]}},
            "features": [*COLUMNS, NOTE] if notes else COLUMNS,
            "prompt": {"question": "Ill?"},
            "split": {"train": 0.4, "validation": 0.15, "test": 0.45},
        }
        said = {"stack.backend": "fake", "model.numbers": "standardised", "task": task}
        said |= {f"model.recipe.{key}": value for key, value in recipe.items()}
        self.workspace = Workspace(project=project, home=home)
        self.config: RunConfig = load_run(self.workspace.configs, None, said)
        self.backend = FakeBackend(self.config.model.name)
        records = Path(ingest(self.config.task, project, home / "in", self.config.seed).path)
        self.split: SplitVersion = generations.make_split(
            self.workspace, records, self.config.task, self.config.stack, self.config.seed
        )
        self.parts = [load_part(home, self.split, part, self.config.stack) for part in PARTS]

    def trained(self, *, until_known: bool = False) -> Bundle:
        """The adapter; with `until_known` of the epoch at which it knows its training best."""
        train, validation, _ = self.parts
        config, home = self.config, self.workspace.home
        renderer, _ = prepare_renderer(self.backend, config.task, config.model, *self.parts)
        rows = training_examples(renderer, train, config.model.recipe, config.seed)
        (candidate,) = self.backend.finetune(
            rows,
            rows if until_known else examples(renderer, validation),
            labels=tuple(renderer.verbalizers.values()),
            recipe=config.model.recipe,
            runs=(Run(rank=config.model.recipe.ranks[0], seed=config.seed, out_dir=str(home / "r")),),
        )
        return make_bundle(
            candidate,
            self.backend,
            renderer,
            validation,
            split=self.split,
            config=config,
            git_revision="",
            out=home / "bundle",
        )

    def decided(self, bundle: Bundle) -> Decision:
        fits = fit_baselines(*self.parts[:2], self.config.task, self.config.seed)
        baselines = Baselines(fits=fits, best=best_classical(fits, "macro_f1"))
        evaluation = evaluate(
            self.workspace,
            self.config,
            split=self.split,
            candidate=bundle,
            baselines=baselines,
            against=Comparators(),
            backend=self.backend,
            now=NOW,
            run="r",
        )
        assert evaluation.privacy is not None
        assert not any(name in evaluation.privacy.model_dump_json() for name in ("r0", "r1"))  # no id travels
        return decide(self.workspace, self.config, evaluation, bundle, baselines, self.split, NOW)


def privacy(decision: Decision) -> CheckResult:
    return next(check for check in decision.verdict.evidence.checks if check.name == "privacy")


def test_labels_learned_by_heart_are_found(tmp_path: Path, project: Path) -> None:
    job = Job(tmp_path, project, random_labels=True, **BY_HEART)
    found = privacy(job.decided(job.trained(until_known=True)))
    assert found.status == "fail"
    assert found.statistics["loss|lower"] > 0.8
    assert found.statistics["members"] == 80  # the whole training part, where the holdout is larger
    assert found.statistics["others"] == 90


def test_an_honest_adapter_is_not_accused(tmp_path: Path, project: Path) -> None:
    job = Job(tmp_path, project, random_labels=False, notes=False, ranks=[4], epochs=2)
    found = privacy(job.decided(job.trained()))
    assert found.status in ("pass", "hold")
    assert found.statistics["loss|lower"] < 0.5 < found.statistics["loss|upper"]


def test_canaries_are_planted_found_and_never_served(tmp_path: Path, project: Path) -> None:
    job = Job(tmp_path, project, random_labels=False, canaries=200, **BY_HEART)
    bundle = job.trained(until_known=True)
    assert bundle.card.recipe.canaries == 200
    decision = job.decided(bundle)
    found = privacy(decision)
    assert (found.status, found.required, decision.verdict.outcome) == ("fail", True, "REJECT")
    numbers = found.statistics
    assert (numbers["planted"] or 0) + (numbers["reference"] or 0) == 200
    assert numbers["exposure_lower"] > 2
    assert numbers["epsilon_lower"] > 0.5
    # Whatever a verdict says, and whoever overrides it: false records are not served.
    forged = decision.model_copy(
        update={"verdict": decision.verdict.model_copy(update={"outcome": "PROMOTE"})}
    )
    with pytest.raises(BadInput, match="was trained with canaries: it holds made-up records"):
        registry.register(job.workspace, bundle, forged, NOW)
    with closing(Ledger.open(job.workspace.ledger)) as ledger:
        assert not ledger.entries(kind="promotion")


def test_members_are_whole_patients_and_the_same_every_time() -> None:
    frame = pd.DataFrame({"patient_id": [f"p{i % 30}" for i in range(120)], "x": range(120)})
    drawn = draw_members(frame, 50, seed=1)
    assert len(drawn) == 52  # 13 patients of 4
    assert (drawn.groupby("patient_id").size() == 4).all()
    assert drawn.equals(draw_members(frame, 50, seed=1))
    assert not drawn.equals(draw_members(frame, 50, seed=2))
    assert len(draw_members(frame, 500, seed=1)) == 120


def test_parts_that_were_not_drawn_alike_are_not_compared(tmp_path: Path, project: Path) -> None:
    job = Job(tmp_path, project, random_labels=False, notes=False, ranks=[4], epochs=1)
    bundle, task = job.trained(), job.config.task
    assert unlike(bundle, job.split, task) is None
    later = job.split.lineage.model_copy(update={"generation": 2})
    newer = job.split.model_copy(update={"lineage": later})
    assert "generation 2 holds newer patients" in (unlike(bundle, newer, task) or "")
    other = job.split.model_copy(update={"dvc_hash": "0.dir"})
    assert "another split" in (unlike(bundle, other, task) or "")
    official = OfficialSplit(column="part")
    given = task.model_copy(update={"split": task.split.model_copy(update={"official": official})})
    assert "a benchmark's own parts" in (unlike(bundle, job.split, given) or "")
