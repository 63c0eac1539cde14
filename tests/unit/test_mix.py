"""Several sources read as one: columns renamed, ids kept apart, records drawn by weight, the source as the site."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.config import Source, SourcePart, TaskConfig, validate
from primum.errors import BadInput
from primum.ingest import ingest
from primum.ingest.mix import draw
from primum.records import IngestReport
from primum.split import assign

QA = {
    "name": "qa",
    "keys": {"record_id": "id"},
    "label": {"column": "answer", "classes": {"A": ["A", 0], "B": ["B", 1]}},
    # Options are categories: the same option under two questions makes these no copies of one another.
    "features": [
        {"column": "question", "kind": "text"},
        *({"column": c, "kind": "category"} for c in "ABC"),
    ],
    "prompt": {"question": "Which option is right?"},
}


def part(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "source": {"kind": "jsonl", "path": f"{name}.jsonl"}} | more


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def medqa(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": i,
            "question": f"q {i}",
            "options": {"A": f"a{i}", "B": f"b{i}", "C": "c"},
            "answer": "AB"[i % 2],
        }
        for i in range(count)
    ]


def medmcqa(count: int) -> list[dict[str, Any]]:
    return [{"id": i, "text": f"other {i}", "opa": "x", "opb": "y", "cop": i % 2} for i in range(count)]


MEDQA = {"map": {c: f"options.{c}" for c in "ABC"}}
MEDMCQA = {"map": {"question": "text", "A": "opa", "B": "opb", "answer": "cop"}, "constants": {"C": ""}}


def run(
    folder: Path, parts: list[dict[str, Any]], seed: int = 1, **more: Any
) -> tuple[IngestReport, pd.DataFrame]:
    task = TaskConfig.model_validate(QA | {"source": {"kind": "mix", "parts": parts}} | more)
    report = ingest(task, folder, folder / "out", seed)
    return report, pd.read_parquet(report.path)


def test_two_datasets_become_one_with_their_names_as_sites(tmp_path: Path) -> None:
    write(tmp_path, "medqa", medqa(6))
    write(tmp_path, "medmcqa", medmcqa(4))
    report, records = run(tmp_path, [part("medqa", **MEDQA), part("medmcqa", **MEDMCQA)])
    assert report.sites == ("medmcqa", "medqa")
    assert records["site"].value_counts().to_dict() == {"medqa": 6, "medmcqa": 4}
    assert set(records["record_id"]) == {f"medqa/{i}" for i in range(6)} | {f"medmcqa/{i}" for i in range(4)}
    first = records.set_index("record_id").loc["medmcqa/1"]
    assert (first["question"], first["A"], first["label"]) == ("other 1", "x", "B")
    assert records.loc[records["site"] == "medmcqa", "C"].isna().all()
    assert records.set_index("record_id").loc["medqa/2", "A"] == "a2"


def test_weights_decide_the_shares_and_the_part_that_runs_out_the_total(tmp_path: Path) -> None:
    write(tmp_path, "medqa", medqa(100))
    write(tmp_path, "medmcqa", medmcqa(30))
    parts = [part("medqa", weight=0.7, **MEDQA), part("medmcqa", weight=0.3, **MEDMCQA)]
    report, records = run(tmp_path, parts)
    assert records["site"].value_counts().to_dict() == {"medqa": 70, "medmcqa": 30}
    assert (
        "mix: medqa 70 of 100 (weight 0.7), medmcqa 30 of 30 (weight 0.3); 'medmcqa' limits the total"
        in report.notes
    )
    assert run(tmp_path, parts)[1].equals(records)
    assert not run(tmp_path, parts, seed=2)[1]["record_id"].equals(records["record_id"])
    assert run(tmp_path, parts[::-1])[1].equals(records), "the order of the parts plays no role"


def test_label_values_of_a_part_in_the_task_s_words(tmp_path: Path) -> None:
    write(tmp_path, "medqa", medqa(4))
    write(tmp_path, "medmcqa", [row | {"cop": row["cop"] + 1} for row in medmcqa(4)])
    parts = [part("medqa", **MEDQA), part("medmcqa", **MEDMCQA, labels={1: "A", 2: "B"})]
    _, records = run(tmp_path, parts)
    assert records.set_index("record_id").loc["medmcqa/0", "label"] == "A"


def test_two_questions_are_no_task(tmp_path: Path) -> None:
    write(tmp_path, "medqa", medqa(4))
    write(
        tmp_path, "pubmedqa", [{"id": i, "question": "?", "answer": ["yes", "no"][i % 2]} for i in range(4)]
    )
    parts = [part("medqa", **MEDQA), part("pubmedqa", constants=dict.fromkeys("ABC", ""))]
    label = {"column": "answer", "classes": ["A", "B", "yes", "no"]}
    with pytest.raises(BadInput) as problem:
        run(tmp_path, parts, label=label)
    assert str(problem.value) == (
        "source.parts: 'medqa' is labelled 'A', 'B' and 'pubmedqa' 'no', 'yes', so they do not mix in one "
        "classification task; make a task of each"
    )


def test_messages_name_the_part_and_its_own_row(tmp_path: Path) -> None:
    write(tmp_path, "medqa", medqa(4))
    write(tmp_path, "medmcqa", [*medmcqa(3), medmcqa(1)[0] | {"id": 9, "cop": 7}])
    with pytest.raises(BadInput, match=r"^medmcqa\.jsonl, row 4, column 'answer': '7': unknown label value"):
        run(tmp_path, [part("medqa", **MEDQA), part("medmcqa", **MEDMCQA)])
    lacking = {"map": {"question": "txt", "A": "opa", "B": "opb", "answer": "cop"}, "constants": {"C": ""}}
    with pytest.raises(
        BadInput, match=r"no column 'txt', which `parts 'medmcqa': features` of the task names"
    ):
        run(tmp_path, [part("medqa", **MEDQA), part("medmcqa", **lacking)])
    with pytest.raises(BadInput, match=r"source\.parts 'medqa': the task names no column 'D'"):
        run(tmp_path, [part("medqa", map={"D": "options.D"})])


def source(*parts: dict[str, Any], **more: Any) -> Source:
    return validate(Source, {"kind": "mix", "parts": parts} | more, "task")


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ([part("a", weight=0.5), part("b", weight=0.4)], "the weights must sum to 1, not 0.9"),
        ([part("a", weight=0.5), part("b", weight=0.5 + 1e-6)], "the weights must sum to 1, not 1.000001"),
        ([part("a", weight=1), part("b")], "give a weight to each part that is learned from, or to none"),
        ([part("a"), part("a")], "two have the same name"),
        ([part("a", part="train"), part("b")], "at least one `part: train` and one `part: test`"),
        (
            [part("a", part="train"), part("a", part="test"), part("b")],
            "give `part` (train, validation, test) to each",
        ),
        ([part("a", part="train"), part("a", part="test", weight=1)], "are kept whole and take no weight"),
        ([part("a", map={"x": "y"}, constants={"x": "z"})], "'x' stands both in `map` and in `constants`"),
        ([part("all")], "'all' means every site"),
        ([], "`parts` belong to a source of kind mix, which needs them"),
    ],
)
def test_a_mix_that_does_not_fit_is_refused(parts: list[dict[str, Any]], line: str) -> None:
    with pytest.raises(BadInput) as problem:
        source(*parts)
    assert line in str(problem.value)


def test_weights_that_sum_in_floating_point() -> None:
    assert len(source(*(part(str(i), weight=0.1) for i in range(10))).parts) == 10


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 200), st.integers(1, 9)), min_size=1, max_size=5), st.integers(0, 2**31)
)
def test_what_is_drawn(sizes: list[tuple[int, int]], seed: int) -> None:
    whole = sum(weight for _, weight in sizes)
    shares = [weight / whole for _, weight in sizes]
    parts = [
        SourcePart.model_validate({"name": f"p{i}", "source": {"path": "x"}, "weight": share})
        for i, share in enumerate(shares)
    ]
    ids = [f"p{i}/{n}" for i, (count, _) in enumerate(sizes) for n in range(count)]
    kept, notes = draw(ids, parts, seed)
    assert kept is not None
    assert len(notes) == 1
    assert len(set(kept)) == len(kept)
    counts = pd.Series([ids[i].split("/")[0] for i in kept]).value_counts()
    for i, share in enumerate(shares):
        assert abs(counts.get(f"p{i}", 0) - share * len(kept)) <= 1
    assert len(kept) >= min(count / share for (count, _), share in zip(sizes, shares, strict=True)) - 1
    again, _ = draw(ids[::-1], parts, seed)
    assert again is not None
    assert {ids[::-1][i] for i in again} == {ids[i] for i in kept}


def test_a_part_without_records_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "medqa", medqa(4))
    write(tmp_path, "medmcqa", [row | {"cop": None} for row in medmcqa(3)])
    parts = [part("medqa", weight=0.5, **MEDQA), part("medmcqa", weight=0.5, **MEDMCQA)]
    with pytest.raises(BadInput, match=r"source\.parts 'medmcqa': no labelled record of it is left"):
        run(tmp_path, parts)


def test_the_parts_of_a_split_hold_every_source(tmp_path: Path) -> None:
    write(tmp_path, "medqa", [row | {"question": f"{row['id']} " * 9} for row in medqa(120)])
    write(tmp_path, "medmcqa", [row | {"text": f"other{row['id']} " * 9} for row in medmcqa(120)])
    parts = [part("medqa", weight=0.5, **MEDQA), part("medmcqa", weight=0.5, **MEDMCQA)]
    _, records = run(tmp_path, parts)
    task = TaskConfig.model_validate(QA | {"source": {"kind": "mix", "parts": parts}})
    table = pd.crosstab(assign(records, task, 1).part, records["site"])
    assert (table.to_numpy() > 0).all()
