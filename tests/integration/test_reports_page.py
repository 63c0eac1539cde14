"""What people see: the page, the figures and the terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import roc_curve
from test_reports_sample import REASONS, Page, sample, sample_panel

from primum.reports import curves, figures, html, tables, terminal
from primum.reports.files import write_run
from primum.stats.metrics import panel_metrics


@pytest.mark.parametrize("outcome", ["PROMOTE", "REJECT", "HOLD"])
def test_each_verdict_says_its_word_its_reason_and_what_is_missing(outcome: str) -> None:
    facts = sample(outcome)
    page = Page(html.render(facts, ()))
    first_screen = page.words[: page.words.index("Results on the holdout")]
    assert outcome in first_screen
    assert REASONS[outcome][1] in first_screen
    assert ("1,234 more labelled patients" in first_screen) == (outcome == "HOLD")
    assert "NOT ASSESSED" in page.words
    assert ("class", "badge not") in page.attributes
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    terminal.print_result(console, facts, Path("/tmp/x"))  # noqa: S108
    said = console.export_text()
    assert outcome in said
    assert "/tmp/x/report.html" in said  # noqa: S108
    assert ("1,234 more labelled patients" in said) == (outcome == "HOLD")


def test_the_terminal_fits_80_columns_and_takes_nothing_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    facts = sample(words=" [bold]n[/bold]")
    terminal.print_result(Console(width=80), facts, Path("out"))
    said = capsys.readouterr().out
    assert "[bold]n[/bold]" in said
    adapter = next(
        line for line in said.splitlines() if line.startswith(" Adapter") or line.startswith("Adapter")
    )
    shown = [tables.number(facts.metric("adapter", m)) for m in tables.METRICS]
    assert adapter.split()[1:] == shown


def test_the_terminal_shows_no_results_of_an_exhausted_holdout(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_result(Console(width=80), sample("HOLD", looks=5), Path("out"))
    said = capsys.readouterr().out
    assert "HOLD" in said
    assert "holdout of" not in said


def test_more_than_two_classes_draw_and_show_dashes_with_the_reason() -> None:
    facts = sample(labels=("yes", "no", "maybe", "never"), unread=1)
    drawings = figures.draw(facts)
    assert {d.name for d in drawings} >= {"confusion", "roc", "reliability"}
    page = Page(html.render(facts, drawings))
    assert "Recall and specificity are defined for two classes only" in page.words
    assert html.cells(facts, "adapter")[3:5] == [tables.NO_VALUE] * 2


def test_an_exhausted_holdout_stays_closed(tmp_path: Path) -> None:
    facts = sample("HOLD", looks=5)
    out = write_run(tmp_path / "run", facts).parent
    names = {p.stem for p in out.rglob("*") if p.is_file()}
    assert not {"paired_preds", "confusion_adapter", "roc", "scores", "confusion"} & names
    assert {"epochs", "report"} <= names
    page = Page((out / "report.html").read_text(encoding="utf-8"))
    assert "its results stay closed: no metric was computed" in page.words
    assert html.cells(facts, "adapter") == [tables.NO_VALUE] * 9
    for again in figures.draw(facts):  # and identical facts give identical pictures
        assert (out / f"figures/{again.name}.svg").read_text(encoding="utf-8") == again.svg
        assert (out / f"figures/{again.name}.png").read_bytes() == again.png


def test_the_roc_agrees_with_scikit_learn_and_unreadable_answers_are_wrong() -> None:
    panel = sample_panel(("no", "yes"), 80)
    fpr, tpr = curves.roc(panel, "adapter")
    score = [row[1] for row in panel.systems["adapter"].log_probs if row is not None]
    theirs = roc_curve([g == "yes" for g in panel.gold], score, drop_intermediate=False)
    np.testing.assert_allclose(fpr, theirs[0])
    np.testing.assert_allclose(tpr, theirs[1])
    for labels in (("no", "yes"), ("a", "b", "c")):
        part = sample_panel(labels, 90, unread=9)
        fpr, tpr = curves.roc(part, "base")
        area = float(np.trapezoid(tpr, fpr))
        expected = panel_metrics(part)["base"]["auroc"]
        assert area == pytest.approx(expected, abs=1e-9 if len(labels) == 2 else 0.01)


def test_reliability_points_are_means_of_their_bins() -> None:
    panel = sample_panel(("no", "yes"), 90)
    curve = curves.reliability(panel, "adapter")
    assert curve.counts.sum() == 90
    assert (curve.counts >= curves.MIN_PER_BIN - 1).all()
    assert float(curve.observed @ curve.counts) == pytest.approx(sum(g == "yes" for g in panel.gold))
    assert (curve.lower <= curve.observed).all()
    assert (curve.observed <= curve.upper).all()
    lower, upper = curves.wilson(np.array([0.0, 0.5]), np.array([10, 100]))
    np.testing.assert_allclose([lower[0], upper[0]], [0, 0.2775], atol=1e-4)
    np.testing.assert_allclose([lower[1], upper[1]], [0.4038, 0.5962], atol=1e-4)
