"""Predictions crafted, or broken, so that something worse would be promoted: each is refused or held."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from test_gate import LABELS, check, good_panel, labelled, panel, statuses, verdict

from primum.config import GateConfig, Label
from primum.errors import BadInput
from primum.gate import judge_panel, judge_table, read_panel
from primum.records import UNPARSED, Panel, Predictions
from primum.stats.resample import types_of


def changed(whole: Panel, name: str, **update: object) -> Panel:
    system = whole.systems[name].model_copy(update=update)
    return whole.model_copy(update={"systems": {**whole.systems, name: system}})


def blank(whole: Panel, name: str, count: int) -> Panel:
    system = whole.systems[name]
    return changed(
        whole,
        name,
        predicted=(UNPARSED,) * count + system.predicted[count:],
        log_probs=(None,) * count + system.log_probs[count:],
    )


@pytest.mark.parametrize(
    ("rival", "name"),
    [("base", "beats_base"), ("lasso", "not_worse_than_classical"), ("majority", "beats_majority")],
)
def test_a_rival_without_a_readable_answer_is_no_rival(rival: str, name: str) -> None:
    found = verdict(blank(good_panel(), rival, 600))
    assert found.outcome == "HOLD"
    assert f"'{rival}' gave no readable answer" in check(found, name).reason


@pytest.mark.parametrize("rival", ["lasso", "champion", "anchor"])
def test_blanks_of_a_rival_do_not_flatter_the_candidate(rival: str) -> None:
    whole = good_panel(adapter=0.8)
    better = panel(list(whole.gold), {rival: list(whole.gold)}).systems[rival]
    whole = whole.model_copy(update={"systems": {**whole.systems, rival: better}})
    name = "not_worse_than_classical" if rival == "lasso" else f"not_worse_than_{rival}"
    assert check(verdict(whole), name).status == "fail"
    found = check(verdict(blank(whole, rival, 200)), name)  # now right on 400 of 600 only
    assert found.status == "hold"
    assert f"only 0.667 of the answers of '{rival}' can be read" in found.reason


def test_what_cannot_differ_from_the_champion_needs_no_labels_to_show_it() -> None:
    """A recalibrated champion decides as it did; that is known, and on 60 patients it could not be shown."""
    whole = good_panel(n=60)
    own = whole.systems["adapter"]
    rivals = {name: own.model_copy(update={"system": name}) for name in ("champion", "anchor")}
    whole = whole.model_copy(
        update={"systems": {**whole.systems, **rivals}, "subgroups": {"sex": ("f", "m") * 30}}
    )
    config = GateConfig(resamples=1000, subgroups={"min_events": 5})
    unknown = verdict(whole, config=config)
    known = verdict(whole, config=config, same_decisions=("champion", "anchor"))
    for name in ("not_worse_than_champion", "not_worse_than_anchor", "subgroups"):
        assert check(unknown, name).status == "hold"
        assert check(known, name).status == "pass"
    assert "it is that adapter with other probabilities" in check(known, "not_worse_than_champion").reason
    demanding = GateConfig(resamples=1000, not_worse_than_champion={"superiority": True})
    claimed = verdict(whole, config=demanding, same_decisions=("champion",))
    assert check(claimed, "not_worse_than_champion").status != "pass"


def test_a_claim_to_decide_alike_is_not_believed_against_the_records() -> None:
    whole = good_panel(n=60)
    other = panel(list(whole.gold), {"champion": list(whole.gold)}).systems["champion"]
    whole = whole.model_copy(update={"systems": {**whole.systems, "champion": other}})
    found = verdict(whole, same_decisions=("champion",))
    assert check(found, "not_worse_than_champion").status != "pass"
    assert "other probabilities" not in check(found, "not_worse_than_champion").reason


def test_a_base_that_was_never_asked_is_not_beaten() -> None:
    whole = good_panel(adapter=0.9)
    known = panel(list(whole.gold), {"base": list(whole.gold)}).systems["base"]  # never wrong where asked
    whole = whole.model_copy(update={"systems": {**whole.systems, "base": known}})
    found = check(verdict(blank(whole, "base", 300)), "beats_base")
    assert found.statistics["lower"] > 0
    assert found.status == "hold"
    assert (
        "only where that could not be read; on the 300 records that it answered macro-F1 is" in found.reason
    )


def test_unreadable_answers_of_the_base_are_told_in_the_reason() -> None:
    found = check(verdict(blank(good_panel(), "base", 60)), "beats_base")
    assert found.status == "pass"
    assert "60 of whose answers could not be read" in found.reason
    assert found.statistics["comparator_unreadable"] == 60


def test_a_majority_that_is_none_is_refused_and_a_minority_is_no_lower_bar() -> None:
    whole = good_panel(adapter=0.5)
    liar = panel(list(whole.gold), {"majority": ["yes" if g == "no" else "no" for g in whole.gold]})
    lying = whole.model_copy(update={"systems": {**whole.systems, "majority": liar.systems["majority"]}})
    found = check(verdict(lying), "beats_majority")
    assert found.status == "hold"
    assert "does not answer with one and the same label" in found.reason
    rare = changed(good_panel(adapter=0.55), "majority", predicted=("yes",) * 600)  # right on 40%
    found = check(verdict(rare), "beats_majority")
    assert (found.status, found.statistics["comparator_accuracy"]) == ("fail", 0.6)


def test_a_classical_model_without_some_probabilities_is_no_yardstick_of_them() -> None:
    whole = good_panel()
    rows = (None,) * 5 + whole.systems["lasso"].log_probs[5:]
    found = check(verdict(changed(whole, "lasso", log_probs=rows)), "calibration")
    assert (found.status, found.reason) == (
        "hold",
        "Cannot be judged: 'lasso' gave 5 of its labels without probabilities.",
    )
    none = changed(whole, "adapter", log_probs=(None,) * 600)
    assert check(verdict(none), "calibration").status == "hold"
    assert verdict(none).outcome == "HOLD"


@pytest.mark.parametrize("labels", [LABELS, ("a", "b", "c")])
def test_probabilities_of_another_model_are_noticed(labels: tuple[str, ...]) -> None:
    k = len(labels)
    gold = [labels[i % k] for i in range(300)]
    wrong = [labels[(i + (i % 5 == 0)) % k] for i in range(300)]
    whole = panel(gold, {"adapter": gold, "lasso": gold}, labels)
    assert check(verdict(whole), "calibration").status == "pass"
    borrowed = changed(whole, "adapter", predicted=tuple(wrong))
    found = check(verdict(borrowed), "calibration")
    assert found.status == "hold"
    assert re.search("[36]0 labels of 'adapter' are not what its probabilities say", found.reason)


@pytest.mark.parametrize(
    "row", [(math.nan, 0.0), (0.0, math.inf), (0.0, 0.0), (math.log(0.9), math.log(0.2)), (0.0,)]
)
@pytest.mark.parametrize("name", ["adapter", "lasso"])
def test_probabilities_that_are_none_are_refused_with_system_and_record(
    row: tuple[float, ...], name: str
) -> None:
    whole = good_panel(100)
    rows = (*whole.systems[name].log_probs[:7], row, *whole.systems[name].log_probs[8:])
    with pytest.raises(
        BadInput, match=rf"'{name}', record 8: its 2 probabilities are not numbers that sum to 1"
    ):
        verdict(changed(whole, name, log_probs=rows))


def test_certain_probabilities_are_allowed() -> None:
    sure = tuple((0.0, -math.inf) if g == "no" else (-math.inf, 0.0) for g in good_panel(100).gold)
    assert verdict(changed(good_panel(100), "lasso", log_probs=sure, predicted=good_panel(100).gold))


def test_a_holdout_of_one_class_promotes_nobody() -> None:
    systems = {
        "adapter": ["yes"] * 200,
        "base": ["no"] * 200,
        "majority": ["yes"] * 200,
        "lasso": ["yes"] * 200,
    }
    found = verdict(panel(["yes"] * 200, systems))
    assert found.outcome != "PROMOTE"
    assert statuses(found)["balance"] == "hold"


def test_the_champion_itself_under_another_name_is_not_better_than_the_base() -> None:
    whole = good_panel()
    twin = whole.systems["adapter"]
    same = whole.model_copy(update={"systems": {**whole.systems, "champion": twin, "base": twin}})
    assert verdict(same).outcome == "REJECT"


def test_one_patient_with_most_of_the_records_is_one_patient() -> None:
    gold = np.tile([0, 0, 0, 1, 1], 120)
    patients = [0] * 580 + list(range(1, 21))
    base = labelled(gold, 0.6, 2)
    adapter = [LABELS[k] for k in gold[:580]] + base[580:]  # better for this one patient, and by 0.4
    whole = panel([LABELS[k] for k in gold], {"adapter": adapter, "base": base}, patients=patients)
    found = check(verdict(whole), "beats_base")
    assert found.statistics["delta"] > 0.35
    assert (found.statistics["won"], found.statistics["mcnemar_p"]) == (1, 1)
    assert found.status == "hold"


def test_patients_of_very_many_records_cost_no_memory() -> None:
    patient = np.r_[np.zeros(40_000, dtype=int), np.arange(1, 30_001)]
    kind, example = types_of(patient % 3, patient, 30_001)  # one table of both would take 9.6 GB
    assert (kind.size, example.size) == (30_001, 4)
    assert sorted(np.bincount(kind).tolist()) == [1, 10_000, 10_000, 10_000]


def test_a_class_name_that_would_fall_apart_in_a_label_set_is_refused() -> None:
    with pytest.raises(ValueError, match="joins the labels of a set"):
        Label(column="y", classes=["yes", "yes|no"])


def test_a_class_named_like_an_unreadable_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rename it"):
        Label(column="y", classes=["yes", UNPARSED])
    file = tmp_path / "t.csv"
    file.write_text("id,gold,adapter\n" + "".join(f"{i},{('yes', UNPARSED)[i % 2]},yes\n" for i in range(20)))
    with pytest.raises(BadInput, match="stands for answers that cannot be read"):
        judge_table(file, config=GateConfig(resamples=100))


def table(
    tmp_path: Path, header: str = "id,gold,lora_pred,zero", cells: str = "{g},{g},yes", n: int = 40
) -> Path:
    file = tmp_path / "t.csv"
    lines = [f"{i}," + cells.format(g=LABELS[i % 2], i=i) for i in range(n)]
    file.write_text("\n".join([header, *lines, ""]))
    return file


def test_one_system_in_two_parts_is_refused_and_a_column_may_be_named_whole(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'lora' cannot be both candidate and base"):
        read_panel(table(tmp_path), roles={"adapter": "lora", "base": "lora_pred"})
    assert set(read_panel(table(tmp_path), roles={"adapter": "lora_pred", "base": "zero"}).systems) == {
        "adapter",
        "base",
        "majority",
    }


def test_text_in_the_gold_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="gold holds 120 different labels, more than 100"):
        read_panel(table(tmp_path, cells="g{i},g{i},g{i}", n=120), roles={"adapter": "lora"})


def test_blank_groups_have_a_name_and_a_blank_line_its_row(tmp_path: Path) -> None:
    file = table(tmp_path, "id,site,subgroup_sex,gold,adapter", ",,{g},{g}")
    assert set(read_panel(file).sites) == set(read_panel(file).subgroups["sex"]) == {"not recorded"}
    file.write_text(file.read_text().replace("\n5,", "\n\n5,") + "\n\n")
    with pytest.raises(BadInput, match="row 7: 0 cells for 5 columns"):
        read_panel(file)


@pytest.mark.parametrize(("gold", "said"), [("Yes", "yes"), ("yes", "yes "), ("yes", "ye s")])
def test_labels_that_differ_by_case_or_space(tmp_path: Path, gold: str, said: str) -> None:
    file = table(tmp_path, "id,gold,adapter", "{g},{g}")
    file.write_text(file.read_text().replace("1,yes,yes", f"1,{gold},{said}", 1))
    if said.strip() == gold:
        assert "yes" in read_panel(file).gold
    else:
        with pytest.raises(BadInput, match=r"two ways|a label that gold does not hold"):
            judge_table(file, config=GateConfig(resamples=100))


def test_a_panel_without_candidate_or_with_other_records_is_refused() -> None:
    whole = good_panel(100)
    rest = {name: s for name, s in whole.systems.items() if name != "adapter"}
    with pytest.raises(BadInput, match="no system 'adapter'"):
        judge_panel(whole.model_copy(update={"systems": rest}), config=GateConfig(resamples=100))
    other = Predictions(
        system="base", labels=LABELS, record_ids=("x",), log_probs=(None,), predicted=(UNPARSED,)
    )
    with pytest.raises(ValueError, match="'base' was scored on different records"):
        Panel.model_validate({**whole.model_dump(), "systems": {**whole.systems, "base": other}})
