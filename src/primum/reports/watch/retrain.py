"""The page of a retrain run: what was due and why, who was tried, what the gate said, who serves now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from primum.records.watch import RetrainRun, SiteCandidate
from primum.reports.watch import words
from primum.reports.watch.outcomes import Course, courses, gist, left_alone, summary, tally

CandidateName = Literal["recalibrated", "site", "pooled", "pooled-then-site"]
CANDIDATES: tuple[CandidateName, ...] = ("recalibrated", "site", "pooled", "pooled-then-site")
"""In the order of the table."""


def retrain_page(
    run: RetrainRun,
    links: Mapping[str, str] = {},
    *,
    overview: str = "",
    band: tuple[float, float] = (0.8, 1.25),
) -> str:
    """Write the page of what was due. Pure: an identical run gives the identical text.

    `links` has a site's own page as a relative address, `overview` that of all sites; `band` is what the gate
    allows observed over expected to be.
    """
    from primum.reports.html import inline, template  # late: matplotlib
    from primum.reports.watch.calibration import calibration_drawing

    due, rest = courses(run), left_alone(run)
    drawing = calibration_drawing(run, band)
    return template("watch/retrain.html.j2").render(
        run=run,
        links=links,
        overview=overview,
        summary=summary(run),
        tally=tally(run),
        due=[(course, gist(course)) for course in due],
        unfinished=[(course, gist(course)) for course in due if course.unfinished],
        candidates=[(c.site, _candidates(c)) for c in due if c.outcome and c.outcome.candidates],
        names=CANDIDATES,
        drawing=drawing,
        svg=inline(drawing) if drawing is not None else None,
        alone=[(course, gist(course)) for course in rest if course.action in ("stay", "blocked")],
        nothing=[(course, gist(course)) for course in rest if course.action not in ("stay", "blocked")],
        badges={word: badge for word, badge, _ in tally(run)},
        serving=_serving,
        champions={report.site: report.champion for report in run.watch.reports},
        words=words,
    )


def _candidates(course: Course) -> list[SiteCandidate | None]:
    """The site's candidates in the order of the table; None: it was not tried."""
    found = {candidate.name: candidate for candidate in (course.outcome.candidates if course.outcome else ())}
    return [found.get(name) for name in CANDIDATES]


def _serving(name: str | None) -> str:
    return name or "no version"
