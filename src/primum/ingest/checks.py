"""What a task declares about its columns, checked chunk by chunk with pandera, then over the whole table."""

from __future__ import annotations

import pandera.pandas as pandera
import pyarrow as pa

from primum.config import Feature, TaskConfig
from primum.errors import BadInput
from primum.ingest.columns import canonical
from primum.ingest.place import Place, listed


def build_schema(task: TaskConfig, labelled: bool) -> pandera.DataFrameSchema:
    """The task's declarations as a schema of canonical columns; each check's `error` is our text."""
    columns = {f.column: pandera.Column(None, _checks(f), nullable=not f.required) for f in task.features}
    if labelled:
        raw = [value for values in task.label.classes.values() for value in values]
        mend = "correct the row, or add the value to `label.classes`"
        wrong = f"unknown label value; the task allows {listed(raw)}; {mend}"
        known = pandera.Check.isin([canonical(value) for value in raw], error=wrong)
        columns["label"] = pandera.Column(None, known, nullable=True)
    return pandera.DataFrameSchema(columns)


def _checks(feature: Feature) -> list[pandera.Check]:
    checks = []
    unit = f" {feature.unit}" if feature.unit else ""
    mend = "correct it, or change the range in the task file"
    if feature.minimum is not None:
        error = f"is below the declared minimum {feature.minimum:g}{unit}; {mend}"
        checks.append(pandera.Check.ge(feature.minimum, error=error))
    if feature.maximum is not None:
        error = f"is above the declared maximum {feature.maximum:g}{unit}; {mend}"
        checks.append(pandera.Check.le(feature.maximum, error=error))
    if feature.values:
        allowed = listed(feature.values)
        error = (
            f"value not allowed; the task allows {allowed}; correct it, or list it in `values` or `missing`"
        )
        checks.append(pandera.Check.isin([canonical(v) for v in feature.values], error=error))
    return checks


def check_chunk(schema: pandera.DataFrameSchema, chunk: pa.Table, place: Place, label: str) -> None:
    """Raise BadInput for the first row that breaks `schema`; `label` is the label's source column."""
    try:
        schema.validate(chunk.select(list(schema.columns)).to_pandas(), lazy=True)
    except pandera.errors.SchemaErrors as error:
        worst = error.failure_cases.sort_values("index", kind="stable").iloc[0]
        column, check, value = worst["column"], str(worst["check"]), worst["failure_case"]
    else:
        return
    problem = check
    if check == "not_nullable":
        problem = "is not recorded, but the task requires it; fill it in or leave the record out"
    elif isinstance(value, int | float):
        problem = f"{value:g} {check}"
    elif column == "label" and len(str(value)) <= 20:  # a longer one may be free text of a patient
        problem = f"'{value}': {check}"
    name = label if column == "label" else str(column)
    raise place._replace(column=name).error(int(worst["index"]), problem)


def check_records(table: pa.Table, name: str, task: TaskConfig) -> None:
    """Raise BadInput for a record id that stands twice and for a patient at two sites.

    `table` holds every row in the source's order. Ids name patients, so a message gives rows only.
    """
    ids = table["record_id"].to_pandas()
    again = ids.duplicated()
    if again.any():
        row = int(again.argmax())
        other = int((ids == ids[row]).argmax())
        place = Place(name, 1, task.keys.record_id or "record_id")
        raise place.error(row, f"this record id stands already in row {other + 1}; ids must be unique")
    if task.keys.site is None or task.keys.patient_id is None:
        return
    pairs = table.select(["patient_id", "site"]).to_pandas().drop_duplicates()
    moved = pairs["patient_id"].duplicated()
    if moved.any():
        row = int(pairs.index[moved][0])
        other = int((pairs["patient_id"] == pairs["patient_id"][row]).idxmax())
        mend = "give each patient one site, or each site its own patient ids"
        raise Place(name, 1, task.keys.site).error(
            row, f"the patient of this row has another site in row {other + 1}; {mend}"
        )


def check_classes(counts: dict[str, int], name: str, column: str) -> None:
    """Raise BadInput when fewer than two classes occur; `counts`: class -> number of records."""
    present = [label for label, count in counts.items() if count]
    if not present:
        raise BadInput(f"{name}, column '{column}': no row has a label; fill the column in")
    if len(present) < 2:
        rows = sum(counts.values())
        mend = "a task needs records of at least two classes"
        raise BadInput(
            f"{name}, column '{column}': all {rows} labelled rows are of class '{present[0]}'; {mend}"
        )
