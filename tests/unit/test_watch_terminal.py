"""What the terminal says of drift and retrain, and how sites are named in files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console
from test_watch_sample import HOSTILE, outcome, report, retrain, sites, watch

from primum.reports.watch import print_retrain, print_watch, slug


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_the_worst_come_first_and_the_quiet_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    print_watch(Console(width=100), watch(sites(40)), Path("out"))
    said = told(capsys)
    assert "Of 40 sites 10 alarm, 5 could not be looked at, 5 have too few records to be judged" in said
    assert said.index("FAILED") < said.index("ALARM") < said.index("TOO FEW")
    assert "QUIET" not in said
    assert "and 20 quiet sites" in said
    assert said.endswith("Report: out/overview.html")


def test_what_does_not_fit_is_counted_by_status_not_called_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    print_watch(Console(width=100), watch(sites(1000)), Path("out"))
    said = told(capsys)
    assert said.count("FAILED") == 30
    assert "and 95 failed sites, 250 alarm sites, 125 too few sites, 500 quiet sites" in said


def test_a_few_quiet_sites_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    print_watch(Console(width=100), watch([report("a", "quiet"), report("b", "quiet")]), Path("out"))
    said = told(capsys)
    assert said.count("QUIET") == 2
    assert "none alarms" in said
    assert "quiet site " not in said
    print_watch(Console(width=100), watch([]), Path("out"))
    assert "Of 0 sites none alarms." in told(capsys)


@pytest.mark.parametrize("width", [80, 120])
def test_names_neither_act_nor_move_the_cursor_and_lines_fit(
    width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    run = retrain([report(HOSTILE, "alarm"), report("line\nbreak", "too few"), report("x" * 300, "failed")])
    print_watch(Console(width=width), run.watch, Path("out"))
    print_retrain(Console(width=width), run, Path("out"))
    said = capsys.readouterr().out
    assert "[bold]n[/bold]" in "".join(said.split())
    assert "\x1b" not in said
    assert max(len(line) for line in said.splitlines()) <= width


def test_retrain_says_what_came_of_it_who_stays_and_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    run = retrain(sites(40))
    print_retrain(Console(width=120), run, Path("out"))
    said = told(capsys)
    assert "Of 40 sites 10 were due: 2 promoted, 4 held, 2 rejected, 2 rolled back, 2 FAILED." in said
    assert "5 stay as they are: too few labels to judge. 5 blocked." in said
    assert said.index("FAILED", said.index("Came of it")) < said.index("ROLLED BACK") < said.index("PROMOTE")
    assert "612 more labelled" in said
    assert (
        "site-0003 (stroke@all v1 serves): 41 labelled patients are too few for a holdout of its own. About 159 more"
        in said
    )
    assert "the same command continues, and repeats nothing" in said
    assert "1.62 → 1.04" in said
    done = run.model_copy(update={"outcomes": tuple(o for o in run.outcomes if o.error is None)})
    done = done.model_copy(
        update={"plans": tuple(p for p in run.plans if p.site in {o.site for o in done.outcomes})}
    )
    print_retrain(Console(width=120), done, Path("out"))
    assert "the same command" not in told(capsys)


def test_a_hold_is_a_result_and_a_due_site_without_an_outcome_is_not_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = retrain([report("a", "alarm", seed=1), report("b", "alarm", seed=2)])
    run = run.model_copy(update={"outcomes": (outcome("a", "HOLD"),)})
    print_retrain(Console(width=120), run, Path("out"))
    said = told(capsys)
    assert "1 held, 1 NOT DONE" in said
    assert "These records cannot decide it. About 612 more labelled patients are needed" in said
    assert "Due, and not done. The same command continues." in said


def test_slugs_are_safe_and_keep_sites_apart() -> None:
    names = ["UK", "uk", "", "x" * 300, "x" * 301, "a b", "a-b", "a/b", ".", "..", "../x", "é", "ê", HOSTILE]
    slugs = [slug(name) for name in names]
    assert len({s.lower() for s in slugs}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,255}", s) for s in slugs)
    assert all(len(s) < 100 for s in slugs)
    assert slug("a-b") == "a-b"
    assert slug("UK").startswith("uk-")  # a Mac's disk does not tell UK from uk
