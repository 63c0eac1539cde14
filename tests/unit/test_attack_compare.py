"""Attempts to make a comparison, or a claim to decide alike, say more than it knows."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.special import expit, log_softmax
from test_compare_analysis import CONFIG, flipped, ground, result

from pipelines.launch_compare import planned
from primum.calibration import Calibration
from primum.comparing import plan
from primum.comparing.analysis import table
from primum.comparing.plan import Comparison, Planned, Standing, finished
from primum.config import load_run
from primum.errors import BadInput
from primum.records.compared import Cell, CellResult
from primum.reports.texts import print_texts
from primum.stats.calibration import Platt
from primum.text_tables import MeasureMean, TextVerdicts
from primum.texts.measures import BETTER
from primum.workspace import find_workspace

EXTREME = float(expit(3.5))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Calibration(threshold=0.0), Calibration(threshold=1e-12)),
        (Calibration(threshold=1.0), Calibration(threshold=1.5)),
        (Calibration(threshold=1e-7), Calibration(threshold=1e-7, recalibration=Platt(0.0, 1.0))),
        (Calibration(threshold=1 - 1e-7), Calibration(threshold=1 - 1e-7, recalibration=Platt(0.0, 1.0))),
        (
            Calibration(threshold=EXTREME, temperature=10.0),
            Calibration(threshold=EXTREME, recalibration=Platt(0.0, 0.1)),
        ),
    ],
)
def test_clipped_probabilities_are_never_said_to_decide_alike(one: Calibration, other: Calibration) -> None:
    """Both cut at the same log-odds in theory; beyond what clipping keeps apart they treat patients differently."""
    odds = np.concatenate([np.linspace(-1000, 1000, 2001), np.linspace(-40, 40, 801)])
    raw = log_softmax(np.c_[np.zeros(odds.size), odds], axis=1)
    one, other = (c.model_copy(update={"positive": 1}) for c in (one, other))
    assert (one.answers(one.scale(raw)) != other.answers(other.scale(raw))).any()
    assert not one.decides_as(other)
    assert not other.decides_as(one)


def standing(task: str, **known: object) -> Standing:
    return Standing(
        task=task, ground=ground(["Yes"] * 20 + ["No"] * 20).model_copy(update={"task": task, **known})
    )


def comparison(tmp_path: Path, cells: list[Cell], grounds: list[Standing]) -> Comparison:
    config = load_run(find_workspace().configs)
    made = tuple(Planned(cell=cell, config=config) for cell in cells)
    return Comparison(cells=made, grounds=tuple(grounds), folder=str(tmp_path / "kept"), out=str(tmp_path))


def test_a_cell_is_never_taken_for_another_whose_names_read_alike(tmp_path: Path) -> None:
    cells = [Cell(task="a", model="b-c", seed=1), Cell(task="a-b", model="c", seed=1)]
    opened = comparison(tmp_path, cells, [standing("a"), standing("a-b")])
    for made in opened.cells:
        assert finished(opened, made, lambda _, made=made: CellResult(cell=made.cell)).cell == made.cell


def test_a_clear_difference_outlasts_the_correction_however_many_models_there_are() -> None:
    gold = ["Yes", "No"] * 100
    wrong = {f"m{number}": flipped(gold, 80, number) for number in range(12)}
    found = table(
        ground(gold, majority=["Yes"] * 200),
        [result("good", gold), *(result(name, answers) for name, answers in wrong.items())],
        CONFIG.model_copy(update={"resamples": 100}),
        1,
    )
    assert "Shown better than every classical model" in found.summary


def test_the_records_of_a_task_are_read_under_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finetune of the same task would draw and store its split at the same time."""
    held = []

    class Lock:
        def __init__(self, task: str) -> None:
            self.task = task

        def __enter__(self) -> None:
            held.append(self.task)

        def __exit__(self, *_: object) -> None:
            held.remove(self.task)

    def prepare(*_: object) -> None:
        raise BadInput(f"held: {held}")

    monkeypatch.setattr(plan, "only_run", lambda _, task, __: Lock(task))
    monkeypatch.setattr(plan, "prepare", prepare)
    cells = comparison(tmp_path, [Cell(task="heart", model="m", seed=1)], []).cells
    opened = plan.open_comparison(find_workspace(), cells, "code", "out", lambda _: None)
    assert opened.grounds[0].error == "held: ['heart']"
    assert not held


@pytest.mark.parametrize(
    ("key", "listed"), [("task=heart", "tasks=[stroke]"), ("model=primum-base", "models=[qwen3-4b]")]
)
def test_what_two_keys_say_differently_is_refused(key: str, listed: str) -> None:
    """It would make cells that bear one name and are not what the list says."""
    workspace = find_workspace()
    arguments = Namespace(
        task=None, model=None, seed=None, site=None, at=None, config=None, set=[key, f"compare.{listed}"]
    )
    config = load_run(workspace.configs)
    config = config.model_copy(
        update={"compare": config.compare.model_copy(update={"tasks": ("stroke",), "models": ("qwen3-4b",)})}
    )
    with pytest.raises(BadInput, match="leave one of them out"):
        planned(workspace, config, arguments)


def test_a_system_that_is_named_like_markup_is_printed_as_it_is() -> None:
    mean = MeasureMean(value=0.5, low=0.4, high=0.6)
    found = TextVerdicts(
        table="t.csv", records=1, patients=1, means={"[/b]": dict.fromkeys(BETTER, mean)}, comparisons=(),
        rows={}, shown=(),
    )  # fmt: skip
    console = Console(record=True, width=100, quiet=False)
    print_texts(console, found, 0.05, Path("texts.html"))
    assert "[/b]" in console.export_text()
