"""The gate's check of label sets: from fitted thresholds to a verdict, and from a table's column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_gate import LABELS, check, good_panel, panel, verdict
from test_reports_sample import sample

from primum.config import GateConfig
from primum.errors import BadInput
from primum.gate import judge_table
from primum.gate.table import read_panel
from primum.records import Panel
from primum.reports import tables


def with_sets(n: int, missed: int, referred: int = 0, **more: Any) -> Panel:
    """A good panel whose sets miss the truth in `missed` records and hold both labels in `referred`."""
    whole = good_panel(n)
    other = {"no": "yes", "yes": "no"}
    said = list(whole.gold)
    sets = [(g,) for g in whole.gold]
    for i in range(missed):
        said[i] = other[whole.gold[i]]
        sets[i] = (said[i],)
    for i in range(n - referred, n):
        sets[i] = LABELS
    made = panel(list(whole.gold), {"adapter": said})
    adapter = made.systems["adapter"].model_copy(update={"label_sets": tuple(sets)})
    return whole.model_copy(update={"systems": {**whole.systems, "adapter": adapter}, **more})


def asked(**more: Any) -> GateConfig:
    return GateConfig(resamples=500, coverage={"required": True, **more})


def test_sets_that_cover_as_declared_pass_with_the_numbers_that_a_clinic_asks_for() -> None:
    found = check(verdict(with_sets(1000, missed=80, referred=100), config=asked()), "coverage")
    assert found.status == "pass"
    numbers = found.statistics
    assert (numbers["coverage"], numbers["target"]) == (0.92, 0.9)
    assert 0.85 < numbers["coverage_lower"] < 0.92 < numbers["coverage_upper"]
    assert numbers["referred"] == 0.1
    assert numbers["single_label_error"] == pytest.approx(80 / 900)
    assert numbers["mean_set_size"] == pytest.approx(1.1)
    assert numbers["empty_sets"] == 0
    assert numbers["coverage_of_no"] == pytest.approx(1 - 48 / 600)
    assert "Referred to a human: 10.0%; single labels wrong: 8.9%" in found.reason


def test_too_little_coverage_fails_and_too_few_patients_hold() -> None:
    low = check(verdict(with_sets(1000, missed=200), config=asked()), "coverage")
    assert (low.status, low.statistics["coverage"]) == ("fail", 0.8)
    # Not shown to be too low, but at this size the declared coverage would have shown itself.
    enough = check(verdict(with_sets(1000, missed=140), config=asked()), "coverage")
    assert enough.status == "fail"
    assert enough.statistics["coverage_upper"] > 0.85
    few = check(verdict(with_sets(100, missed=10), config=asked()), "coverage")
    assert few.status == "hold"
    assert few.labels_needed == 302  # ((2.498 + 0.842) / 0.05)^2 * 0.09 = 402 in all
    assert verdict(with_sets(100, missed=10), config=asked()).outcome == "HOLD"


def test_twelve_patients_without_a_miss_prove_nothing() -> None:
    patients = tuple(f"p{i % 12}" for i in range(600))
    found = check(verdict(with_sets(600, missed=0, patient_ids=patients), config=asked()), "coverage")
    assert (found.status, found.statistics["coverage"]) == ("hold", 1.0)


def test_each_site_with_enough_records_is_judged() -> None:
    sites = tuple("near" if i < 400 else "far" if i < 980 else "tiny" for i in range(1000))
    found = check(verdict(with_sets(1000, missed=120, sites=sites), config=asked()), "coverage")
    assert found.status == "fail"  # all 120 misses lie in the site `near`
    assert found.statistics["site=near|coverage"] == 0.7
    assert found.statistics["site=far|coverage"] == 1.0
    assert found.statistics["site=tiny|status"] == "not assessed"
    assert "site=near 0.700 of 400 records" in found.reason
    assert "site=far" not in found.reason


def test_sets_that_refer_everyone_are_covered_and_can_be_refused() -> None:
    everyone = with_sets(600, missed=0, referred=600)
    found = check(verdict(everyone, config=asked()), "coverage")
    assert (found.status, found.statistics["single_label_error"]) == ("pass", None)
    assert "single labels wrong: none is left" in found.reason
    limited = check(verdict(everyone, config=asked(max_referred=0.3)), "coverage")
    assert limited.status == "fail"
    assert "1.000 of the records are referred, at most 0.3 is allowed" in limited.reason


def test_without_sets_it_is_not_assessed_or_holds_by_name() -> None:
    assert check(verdict(good_panel()), "coverage").status == "not assessed"
    assert verdict(good_panel()).outcome == "PROMOTE"
    found = verdict(good_panel(), config=asked())
    assert found.outcome == "HOLD"
    assert found.reasons == ("coverage: Cannot be judged: 'adapter' gave no label sets.",)


def rows(n: int, sets: list[str]) -> list[str]:
    labels = ["no", "yes"]
    return [f"{i},{labels[i % 2]},{labels[i % 2]},{sets[i % 2]}" for i in range(n)]


def test_a_table_may_bring_its_sets(tmp_path: Path) -> None:
    file = tmp_path / "preds.csv"
    file.write_text("\n".join(["id,gold,adapter,adapter_set", *rows(600, ["no", "yes | no"])]))
    made = read_panel(file).systems
    assert set(made) == {"adapter", "majority"}
    assert made["adapter"].label_sets[:2] == (("no",), ("yes", "no"))
    found = judge_table(file, config=asked())
    numbers = next(c for c in found.evidence.checks if c.name == "coverage").statistics
    assert (numbers["coverage"], numbers["referred"]) == (1.0, 0.5)
    file.write_text("\n".join(["id,gold,adapter,adapter_set", *rows(600, ["", "yes"])]))
    assert np.mean([s == () for s in read_panel(file).systems["adapter"].label_sets]) == 0.5
    for bad in ("perhaps", "no|no"):
        file.write_text("\n".join(["id,gold,adapter,adapter_set", *rows(40, ["no", bad])]))
        with pytest.raises(BadInput, match=r"row 3, column 'adapter_set': give gold labels, each once"):
            read_panel(file)


def test_the_paired_predictions_of_a_run_bring_them_along(tmp_path: Path) -> None:
    facts = sample()
    sets = tuple((("benign",), facts.panel.labels, ())[i % 3] for i in range(60))
    adapter = facts.panel.systems["adapter"].model_copy(update={"label_sets": sets})
    whole = facts.panel.model_copy(update={"systems": {**facts.panel.systems, "adapter": adapter}})
    file = tmp_path / "paired_preds.csv"
    rows = tables.paired(facts.model_copy(update={"panel": whole}))
    file.write_text(tables.csv_text(rows), encoding="utf-8", newline="")
    made = read_panel(file).systems
    assert made["adapter"].label_sets == sets
    assert made["base"].label_sets == ()
