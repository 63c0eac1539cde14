"""The gate on a table of paired predictions."""

from pathlib import Path

import numpy as np
import pytest

from primum.config import GateConfig
from primum.errors import BadInput
from primum.gate.table import judge_table, read_panel
from primum.records import UNPARSED

PUBLISHED = Path(__file__).parents[3] / "shared/data/lung-colon-stats/paired_preds_reconstruction_A.csv"
FEW = {
    name: {"required": False}
    for name in ("leakage", "not_worse_than_classical", "calibration", "net_benefit", "subgroups", "latency")
}
GATE = GateConfig(resamples=1000, **FEW)


def write(tmp_path: Path, header: str, rows: list[str]) -> Path:
    file = tmp_path / "preds.csv"
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def plain(n: int = 20) -> list[str]:
    return [f"{i},{'yes' if i % 2 else 'no'},{'yes' if i % 2 else 'no'}" for i in range(n)]


@pytest.mark.skipif(not PUBLISHED.exists(), reason="../shared/data/lung-colon-stats is absent")
def test_the_published_table_with_the_candidate_named(tmp_path: Path) -> None:
    file = tmp_path / "preds.csv"
    file.write_text(PUBLISHED.read_text().replace("lora_pred", "adapter_pred"))
    found = judge_table(file, config=GATE)
    base = next(c for c in found.evidence.checks if c.name == "beats_base")
    assert found.outcome == "PROMOTE"
    assert base.statistics["delta"] == pytest.approx(0.218888, abs=1e-6)
    assert found == judge_table(file, config=GATE)
    assert judge_table(file, config=GateConfig(resamples=1000)).outcome == "HOLD"  # no leakage report


def test_everything_that_a_table_can_hold(tmp_path: Path) -> None:
    rows = [
        ",".join([f"r{i}", f"p{i // 2}", f"s{i % 2}", "no" if i % 3 == 0 else "yes", "" if i == 4 else "yes"])
        + f",0.3,0.7,no,{'mf'[i % 2]}"
        for i in range(30)
    ]
    header = "record_id,patient_id,site,gold,adapter,adapter_p_no,adapter_p_yes,lasso_pred,subgroup_sex"
    panel = read_panel(write(tmp_path, header, rows), positive="no")
    assert (panel.labels, panel.positive, len(set(panel.patient_ids))) == (("no", "yes"), "no", 15)
    assert set(panel.systems) == {"adapter", "lasso", "majority"}
    assert panel.systems["adapter"].predicted[4] == UNPARSED
    assert panel.systems["adapter"].log_probs[0] == pytest.approx((np.log(0.3), np.log(0.7)))
    assert set(panel.systems["lasso"].log_probs) == {None}
    assert set(panel.systems["majority"].predicted) == {"yes"}
    assert panel.subgroups["sex"][:2] == ("m", "f")
    assert panel.sites[:2] == ("s0", "s1")


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("id,gold,adapter", [], "no rows"),
        ("id,gold,adapter", plain(8), "8 patients"),
        ("id,gold,adapter", [*plain(), "3,yes,yes"], "row 22: the id of row 5 again"),
        ("id,gold,adapter", [*plain(), ",yes,yes"], "row 22: the id is empty"),
        ("id,gold,adapter", [*plain(), "99,,yes"], "row 22, column 'gold': empty"),
        ("id,gold,adapter", [*plain(), "99,yes,perhaps"], "row 22, column 'adapter': a label that gold"),
        ("id,gold,adapter", [*plain(), "99,yes"], "row 22: 2 cells for 3 columns"),
        ("id,truth,adapter", plain(), "column 'gold' is missing"),
        ("id,gold,model", plain(), "column 'adapter' is missing"),
        ("id,gold,gold", plain(), "'gold' stands twice"),
        ("id,gold,adapter", [f"{i},yes,yes" for i in range(20)], "one class only"),
        ("id,gold,adapter,adapter_p_no", [f"{r},0.5" for r in plain()], "'adapter_p_yes' is missing"),
        ("id,gold,adapter,adapter_p_old", [f"{r},0.5" for r in plain()], "a label that gold does not hold"),
        (
            "id,gold,adapter,adapter_p_no,adapter_p_yes",
            [f"{r},0.5,0.4" for r in plain()],
            "row 2.*sum to 0.9",
        ),
        (
            "id,gold,adapter,adapter_p_no,adapter_p_yes",
            [f"{r},nan,0.4" for r in plain()],
            "not a probability",
        ),
        ("id,gold,adapter,adapter_p_no,adapter_p_yes", [f"{r},x,0.4" for r in plain()], "not a number"),
        ("id,gold,adapter,lasso,tfidf", [f"{r},no,no" for r in plain()], "best on validation"),
    ],
)
def test_bad_tables_are_refused_with_the_place(
    tmp_path: Path, header: str, rows: list[str], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        judge_table(write(tmp_path, header, rows), config=GATE)


def test_one_of_several_classical_models_can_be_named(tmp_path: Path) -> None:
    file = write(tmp_path, "id,gold,adapter,lasso,tfidf", [f"{r},no,yes" for r in plain()])
    found = judge_table(file, config=GATE, classical="tfidf")
    check = next(c for c in found.evidence.checks if c.name == "not_worse_than_classical")
    assert check.statistics["rival"] == "tfidf"
    with pytest.raises(BadInput, match="no column 'forest'"):
        judge_table(file, config=GATE, classical="forest")


def test_unreadable_files_and_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        read_panel(tmp_path / "absent.csv")
    latin = tmp_path / "latin.csv"
    latin.write_bytes("id,gold,adapter\n1,jå,jå\n".encode("latin-1"))
    with pytest.raises(BadInput, match="UTF-8"):
        read_panel(latin)
    with pytest.raises(BadInput, match="'maybe' is not a gold label"):
        read_panel(write(tmp_path, "id,gold,adapter", plain()), positive="maybe")
