"""The pages of drift and retrain: what they say, that nothing in them acts, and that they are whole on disk."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from test_reports_sample import Page
from test_watch_sample import HOSTILE, finding, outcome, report, retrain, sites, watch

from primum.errors import Unavailable
from primum.records.watch import DriftReport, Finding, Interval, Performance, RetrainRun, SitePlan, WatchRun
from primum.reports.watch import (
    files,
    overview_page,
    retrain_page,
    site_page,
    slug,
    write_retrain,
    write_watch,
)

MEANS = {
    "alarm": "differs from what the champion learned from",
    "quiet": "No comparison differed by enough to matter",
    "too few": "it was not judged",
    "failed": "does not count as fine",
}


def strict(text: str) -> object:
    """Parse JSON as the standard has it."""

    def refuse(name: str) -> object:
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("status", list(MEANS))
def test_each_status_is_said_aloud_with_its_meaning(status: str) -> None:
    page = Page(site_page(report("north", status, seed=1)))  # type: ignore[arg-type]
    opening = page.words[: page.words.index("Outcomes known")]
    assert status.upper() in opening
    assert MEANS[status] in opening
    assert ("class", "verdict quiet") not in page.attributes or status == "quiet"
    if status == "failed":
        assert "bundle 3fa1 does not match its hash" in opening
    if status == "too few":
        assert "12 records in the window, 30 are needed." in opening


def test_a_site_page_has_everything_that_the_report_has() -> None:
    found = report("north", "alarm", seed=1)
    page = Page(site_page(found, overview="../overview.html", evidently="../evidently/north.html"))
    for alarm in found.alarms:
        assert page.words.index(alarm.reason) < page.words.index("Outcomes known")
    for each in found.findings:
        assert each.reason in page.words
    assert page.words.count("ALARM") == 3 + 2 * len(found.alarms)  # title, box, legend; figure and table
    for words in (
        "stroke@all v1 serves here",
        "1994-01-01 to 1994-04-01",
        "1,834",
        "206 records, 25 events",
        "0.00012",
        "< 0.0001",
        "standardised mean difference",
        found.hidden_missing[0].reason,
        found.suggestions[0],
    ):
        assert words in page.words
    assert found.estimate is not None
    table = page.words.index("without outcomes")
    assert 0 < page.words.index(found.estimate.assumption) - table < 1500  # right beside the estimate
    assert ("href", "../overview.html") in page.attributes
    assert ("href", "../evidently/north.html") in page.attributes
    spoken = next(value for name, value in page.attributes if name == "aria-label" and "multiples" in value)
    assert "age · input: 1.5× the threshold, ALARM" in spoken


def test_a_window_without_outcomes_is_not_called_well() -> None:
    page = Page(site_page(report("north", "quiet", outcomes=0)))
    assert "whether the answers are still right was not looked at" in page.words
    assert "unknown, not unchanged" in page.words
    found = report("north", "quiet")
    some = tuple(f for f in found.findings if f.kind != "calibration")
    page = Page(site_page(found.model_copy(update={"findings": some})))
    assert "Not compared, for want of outcomes: calibration." in page.words


def test_values_that_are_undefined_or_absent_are_dashes() -> None:
    nothing = Interval(value=None)
    endless = Interval(value=math.inf, low=math.nan, high=math.inf)
    poor = Performance(records=3, macro_f1=nothing, accuracy=endless, auroc=nothing, brier=math.nan)
    odd = [
        finding("schema", "gone", 0.1, alarm=True).model_copy(
            update=dict.fromkeys(("effect", "threshold", "p_value", "p_adjusted"))
        ),
        finding("input", "age", math.nan, alarm=False, threshold=math.inf).model_copy(update={"reason": "?"}),
    ]
    bare = DriftReport(
        task="t",
        site="s",
        champion="",
        reference="",
        reference_scope="site",
        since=None,
        until="1994-04-01T10:30:00+00:00",
        reference_records=0,
        current_records=1,
        outcome_records=0,
        status="alarm",
        findings=tuple(odd),
        performance=poor,
    )
    text = site_page(bare)
    page = Page(text)
    assert "No version serves here." in page.words
    assert "everything up to 1994-04-01 10:30 that the champion did not learn from" in page.words
    assert not {"nan", "inf", "None"} & set(page.words.replace("\n", " ").split())
    assert "Size of each difference" not in page.words  # nothing has a size
    overview = Page(overview_page(watch([bare])))
    assert not {"nan", "inf", "None"} & set(overview.words.replace("\n", " ").split())
    retrain_page(RetrainRun(task="t", at="x", cycle="c", watch=watch([bare]), plans=(), outcomes=()))


def test_the_overview_counts_the_statuses_and_lists_the_worst_first() -> None:
    run = watch(sites(16))
    page = Page(overview_page(run, {"site-0001": "sites/site-0001.html"}))
    assert (
        "Of 16 sites 4 alarm, 2 could not be looked at, 2 have too few records to be judged, 8 are quiet."
        in page.words
    )
    assert "4 sites were not judged." in page.words
    body = page.words[page.words.index("Main reason") :]
    assert body.index("FAILED") < body.index("ALARM") < body.index("TOO FEW") < body.index("QUIET")
    assert all(r.site in body for r in run.reports)
    assert [value for name, value in page.attributes if name == "href"] == ["sites/site-0001.html"]
    alarm = body[body.index("site-0001") :].split("\n")[0]
    assert "0.55" in alarm
    assert "0.47 to 0.65" in alarm
    assert "was 0.79" in alarm
    assert "4120100–0–1" in alarm.replace(" ", "")  # records, then the strip of eight kinds


def test_no_name_and_no_reason_acts_in_any_page(tmp_path: Path) -> None:
    hostile = report(HOSTILE, "alarm", seed=1)
    hostile = hostile.model_copy(
        update={
            "champion": HOSTILE,
            "notes": (HOSTILE,),
            "suggestions": (HOSTILE,),
            "error": HOSTILE,
            "findings": tuple(
                f.model_copy(update={"column": HOSTILE, "reason": HOSTILE}) for f in hostile.findings
            ),
        }
    )
    run = retrain([hostile, report(HOSTILE + "2", "too few"), report(HOSTILE + "3", "failed")])
    run = run.model_copy(update={"task": HOSTILE, "cycle": HOSTILE})
    write_retrain(tmp_path, run)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) == 5
    for file in pages:
        page = Page(file.read_text(encoding="utf-8"))
        assert not {"script", "img", "iframe", "object", "link"} & set(page.tags)
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        links = [value for name, value in page.attributes if name == "href" and not value.startswith("#")]
        assert links
        assert all((file.parent / link).is_file() for link in links)  # so none leads elsewhere
        assert HOSTILE in page.words
        assert any("default-src 'none'" in value for name, value in page.attributes if name == "content")


def test_a_retrain_page_says_what_was_due_what_was_said_and_who_serves() -> None:
    run = retrain(sites(40))
    page = Page(retrain_page(run, {"site-0001": "sites/site-0001.html"}, overview="overview.html"))
    opening = page.words[: page.words.index("What was due", page.words.index("Sites:"))]
    assert "Of 40 sites 10 were due" in opening
    assert "2 sites are not done. The same command continues." in opening
    assert "GPU memory ended while training" in opening
    for words in (
        "These records cannot decide it. About 612 more labelled patients are needed to judge.",
        "stroke@site-0001 v2 serves now.",
        "stroke@x v2 serves again.",
        "◆ chosen",
        "log-loss 0.411",
        "before 1.62 (1.30 to 1.99)",
        "O/E 1.60 (1.31 to 1.93) on 206 watched records, beyond 1.25.",
        "No alarm, 12 new labels.",
    ):
        assert words in page.words
    pooled = page.words[page.words.index("Sites that learn nothing of their own now") :]
    for plan in run.plans:
        if plan.action in ("stay", "blocked"):
            assert plan.site in pooled
    assert "159" in pooled
    spoken = next(
        v for n, v in page.attributes if n == "aria-label" and v.startswith("Observed over expected")
    )
    assert "site-0001: before 1.62 (1.30 to 1.99), after 1.04 (0.84 to 1.28)" in spoken


def test_a_site_is_linked_where_it_has_a_page_whatever_its_name() -> None:
    run = retrain([report("items", "alarm", seed=1), report("keys", "too few")])
    page = Page(retrain_page(run, {"keys": "sites/keys.html"}))
    hrefs = {value for name, value in page.attributes if name == "href" and not value.startswith("#")}
    assert hrefs == {"sites/keys.html"}


def test_the_band_of_the_gate_is_drawn_and_said(tmp_path: Path) -> None:
    write_retrain(tmp_path, retrain([report("a", "alarm", seed=1)]), band=(0.9, 1.1))
    assert "the gate's 0.9 to 1.1" in Page((tmp_path / "retrain.html").read_text(encoding="utf-8")).words


def test_who_serves_a_site_that_stays_is_named_and_none_is_said() -> None:
    run = retrain([report("a", "too few")])
    stays = Page(retrain_page(run)).words
    assert "stroke@all v1" in stays[stays.index("Sites that learn nothing of their own now") :]
    held = outcome("a", "HOLD", champion_before=None, champion_after=None)
    words = Page(retrain_page(run.model_copy(update={"outcomes": (held,)}))).words
    assert "No version serves here." in words
    assert "no version, as before" in words


def test_hold_is_not_marked_as_a_failure() -> None:
    run = retrain([report("a", "alarm", seed=1)])
    page = Page(retrain_page(run.model_copy(update={"outcomes": (outcome("a", "HOLD"),)})))
    assert ("class", "badge hold") in page.attributes
    assert not {("class", "loud"), ("class", "dead"), ("class", "fail")} & set(page.attributes)
    assert "HOLD is a result" in page.words


def test_a_site_that_was_due_and_has_no_outcome_is_loud_and_so_is_a_failed_one_without_a_plan() -> None:
    run = retrain([report("a", "alarm", seed=1)])
    failed = outcome("b", None, error="disk full", candidates=())
    page = Page(retrain_page(run.model_copy(update={"outcomes": (failed,)})))
    assert ("class", "loud") in page.attributes
    assert "a. Due, and not done." in " ".join(page.words.split())
    assert "b. disk full." in " ".join(page.words.split())


def test_nothing_due_is_said() -> None:
    empty = WatchRun(task="t", at="1994-04-01", since=None, reports=())
    page = Page(retrain_page(RetrainRun(task="t", at="x", cycle="c", watch=empty, plans=(), outcomes=())))
    assert "Nothing was due at any site." in page.words
    plans = (SitePlan(site="a", action="none", reasons=("Nothing new.",)),)
    page = Page(retrain_page(RetrainRun(task="t", at="x", cycle="c", watch=empty, plans=plans, outcomes=())))
    assert "Nothing new." in page.words
    assert "No site was looked at." in Page(overview_page(empty)).words


def test_the_files_are_whole_linked_strict_and_the_same_again(tmp_path: Path) -> None:
    run = retrain([*sites(9), report("UK", "quiet"), report("St. Mary", "alarm", seed=3)])
    (tmp_path / "a" / "evidently").mkdir(parents=True)
    mary = f"{slug('St. Mary')}.html"
    (tmp_path / "a" / "evidently" / mary).write_text("theirs")
    assert write_retrain(tmp_path / "a", run) == tmp_path / "a" / "retrain.html"
    assert write_watch(tmp_path / "b", run.watch) == tmp_path / "b" / "overview.html"
    names = {str(p.relative_to(tmp_path / "a")) for p in (tmp_path / "a").rglob("*") if p.is_file()}
    pages = {f"sites/{slug(r.site)}.html" for r in run.watch.reports}
    assert len(pages) == 11
    assert names == {
        "drift.json",
        "overview.html",
        "retrain.json",
        "retrain.html",
        f"evidently/{mary}",
        *pages,
    }
    linked = (tmp_path / "a" / "sites" / mary).read_text(encoding="utf-8")
    assert f'href="../evidently/{mary}"' in linked
    assert "evidently" not in (tmp_path / "b" / "sites" / mary).read_text(encoding="utf-8")
    assert RetrainRun.model_validate(strict((tmp_path / "a" / "retrain.json").read_text())) == run
    assert WatchRun.model_validate(strict((tmp_path / "b" / "drift.json").read_text())) == run.watch
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    write_retrain(tmp_path / "a", run)
    write_watch(tmp_path / "b", run.watch)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_json_has_no_nan(tmp_path: Path) -> None:
    odd = report("a", "quiet")
    findings = (finding("input", "age", math.nan, alarm=False, threshold=math.inf),)
    write_watch(tmp_path, watch([odd.model_copy(update={"findings": findings})]))
    read = WatchRun.model_validate(strict((tmp_path / "drift.json").read_text()))
    assert read.reports[0].findings[0].effect is None


def test_a_later_run_takes_the_pages_of_sites_that_are_gone_and_nothing_of_a_stranger(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "theirs.html").write_text("theirs")
    write_watch(tmp_path, watch([report("a", "quiet"), report("b", "quiet")]))
    assert (tmp_path / "sites" / "theirs.html").exists()  # no run of ours was here before
    write_watch(tmp_path, watch([report("b", "quiet")]))
    assert not (tmp_path / "sites" / "a.html").exists()
    assert (tmp_path / "sites" / "b.html").exists()


def test_a_disk_that_fails_leaves_the_old_files_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write_watch(out, watch([report("a", "quiet")]))
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}

    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(Unavailable, match="No space left on device") as told:
            write_retrain(out, retrain([report("a", "alarm", seed=1)]))
    assert "\n" not in str(told.value)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    blocked = tmp_path / "file"
    blocked.write_text("x")
    with pytest.raises(Unavailable, match="--output"):
        write_watch(blocked, watch([]))


def test_an_interrupted_write_leaves_no_json_that_promises_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files._replace

    def stop(path: Path, text: str) -> None:
        if path.name == "overview.html":
            raise KeyboardInterrupt
        write(path, text)

    monkeypatch.setattr(files, "_replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_watch(tmp_path, watch([report("a", "quiet")]))
    assert not (tmp_path / "drift.json").exists()
    assert not list(tmp_path.rglob("*.partial"))


def test_a_thousand_sites_stay_small() -> None:
    run = retrain(sites(1000, long=True))
    links = {r.site: f"sites/{slug(r.site)}.html" for r in run.watch.reports}
    assert len(overview_page(run.watch, links).encode()) < 1_000_000
    alarms = [report(r.site, "alarm", seed=i) for i, r in enumerate(run.watch.reports)]
    wordy = [r.model_copy(update={"findings": tuple(_wordy(f) for f in r.findings)}) for r in alarms]
    assert len(overview_page(watch(wordy), links).encode()) < 1_000_000  # every site at its longest
    page = retrain_page(run, links)
    assert len(page.encode()) < 1_000_000
    assert "more sites stand in the table" in page


def _wordy(found: Finding) -> Finding:
    return found.model_copy(update={"reason": "x" * 300})
