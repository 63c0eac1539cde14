"""The files of drift and retrain: each one old or new, never half; the JSON comes last."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from primum.errors import Unavailable
from primum.pointer import slug
from primum.records.watch import RetrainRun, WatchRun
from primum.reports.files import json_text

WATCH, RETRAIN, OVERVIEW = "drift.json", "retrain.json", "overview.html"


def write_watch(out: Path, run: WatchRun, *, retrain: str = "") -> Path:
    """Write a page per site, the overview and drift.json into `out`; return the overview's path.

    Each file is replaced whole, drift.json last: where it lies the pages beside it are of that run or a later
    one. Evidently's reports in `out`/evidently are linked where they exist; nothing else in `out` is touched.
    Raises Unavailable where `out` cannot be written.
    """
    from primum.reports.watch.overview import overview_page  # late: the templates import matplotlib
    from primum.reports.watch.site import site_page

    names = {report.site: f"{slug(report.site)}.html" for report in run.reports}
    links = {site: f"sites/{name}" for site, name in names.items()}
    with _in_words(out):
        again = (out / WATCH).exists()
        (out / "sites").mkdir(parents=True, exist_ok=True)
        for report in run.reports:
            name = names[report.site]
            evidently = f"../evidently/{name}" if (out / "evidently" / name).is_file() else ""
            page = site_page(report, overview=f"../{OVERVIEW}", evidently=evidently)
            _replace(out / "sites" / name, page)
        if again:  # what an earlier run left of sites that are gone; a stranger's folder is left alone
            _forget(out / "sites", set(names.values()))
        _replace(out / OVERVIEW, overview_page(run, links, retrain=retrain))
        _replace(out / WATCH, json_text(run))
    return out / OVERVIEW


def write_retrain(out: Path, run: RetrainRun, *, band: tuple[float, float] = (0.8, 1.25)) -> Path:
    """Write what `write_watch` writes, retrain.html and, last, retrain.json; return the page's path.

    `band` is what the gate allows observed over expected to be.

    Raises Unavailable where `out` cannot be written.
    """
    from primum.reports.watch.retrain import retrain_page

    links = {report.site: f"sites/{slug(report.site)}.html" for report in run.watch.reports}
    page = retrain_page(run, links, overview=OVERVIEW, band=band)
    write_watch(out, run.watch, retrain="retrain.html")
    with _in_words(out):
        _replace(out / "retrain.html", page)
        _replace(out / RETRAIN, json_text(run))
    return out / "retrain.html"


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the whole new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _forget(folder: Path, kept: set[str]) -> None:
    for path in folder.glob("*.html"):
        if path.name not in kept:
            path.unlink()


@contextmanager
def _in_words(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"reports in {out} could not be written ({error.strerror}), no file there is half-written; "
            "make room or name another folder with --output, run again"
        ) from None
