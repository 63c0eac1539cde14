"""Many runs in a row: one table, one figure."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from test_watch_sample import HOSTILE, outcome, report, retrain, sites

from primum.records.watch import RetrainRun
from primum.reports.watch import replay_figure, replay_table


def replay() -> list[tuple[str, RetrainRun]]:
    first = retrain([report("uk", "alarm", seed=1), report("italy", "quiet"), report("spain", "too few")])
    second = retrain([report("uk", "quiet"), report("italy", "alarm", seed=2), report("spain", "failed")])
    back = outcome("italy", "REJECT", rolled_back=True, champion_after=None)
    return [("1994-01", first), ("1994-02", second.model_copy(update={"outcomes": (back,)}))]


def test_the_table_has_a_row_per_event_and_counts_the_rest() -> None:
    lines = replay_table(replay()).splitlines()
    assert lines[0].startswith("| When | Site | Seen | Alarms | Due | Gate |")
    assert len(lines) == 2 + 2 + 3
    promoted = next(line for line in lines if "| uk |" in line)
    assert "| alarm | age, observed over expected | recalibrate | PROMOTE |" in promoted
    assert "| 1.62 (1.30 to 1.99) | 1.04 (0.84 to 1.28) |" in promoted
    assert "| 1994-01 | 2 more | 1 too few, 1 quiet |" in lines[3]
    rolled = next(line for line in lines if "| italy |" in line)
    assert "| rolled back, REJECT | stroke@italy v1 | – |" in rolled
    assert any("| spain | failed |" in line for line in lines)
    assert {line.count("|") for line in lines} == {11}


def test_a_hold_says_how_many_are_missing_and_a_name_cannot_leave_its_cell() -> None:
    run = retrain([report(HOSTILE, "alarm")]).model_copy(update={"outcomes": (outcome(HOSTILE, "HOLD"),)})
    table = replay_table([("1994-01", run)])
    assert "HOLD (612 more)" in table
    assert "<script" not in table
    assert len(table.splitlines()) == 3


def test_the_figure_stands_alone_says_all_in_words_and_is_the_same_again() -> None:
    rows = replay()
    svg = replay_figure(rows)
    root = ET.fromstring(svg)  # noqa: S314 - our own; that it is well-formed is the point
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.attrib["role"] == "img"
    spoken = root.attrib["aria-label"]
    assert "1994-01: 1 alarm, 1 too few, 1 quiet; uk C✓" in spoken
    assert "italy T✕R" in spoken
    words = [text for element in root.iter() if (text := (element.text or "").strip())]
    assert {"uk", "italy", "spain", "1994-01", "1994-02", "C✓", "T✕R"} <= set(words)
    assert svg == replay_figure(rows)


def test_a_hostile_name_stays_text_in_the_figure_and_too_many_sites_are_counted() -> None:
    svg = replay_figure([("<b>", retrain([report(HOSTILE, "alarm", seed=1)]))])
    root = ET.fromstring(svg)  # noqa: S314
    assert not any(element.tag.endswith(("script", "}b", "img")) for element in root.iter())
    many = replay_figure([("1994-01", retrain(sites(60)))])
    assert "15 sites without" in ET.fromstring(many).attrib["aria-label"]  # noqa: S314


def test_nothing_to_show_is_no_figure() -> None:
    assert replay_figure([]) == ""
    assert len(replay_table([]).splitlines()) == 2
