"""What people see of drift and retrain: pages, figures, tables, the terminal."""

from primum.pointer import slug
from primum.reports.watch.files import write_retrain, write_watch
from primum.reports.watch.overview import overview_page
from primum.reports.watch.ranking import worst_first
from primum.reports.watch.replay import replay_figure, replay_table
from primum.reports.watch.retrain import retrain_page
from primum.reports.watch.site import site_page
from primum.reports.watch.terminal import print_retrain, print_watch

__all__ = [
    "overview_page",
    "print_retrain",
    "print_watch",
    "replay_figure",
    "replay_table",
    "retrain_page",
    "site_page",
    "slug",
    "worst_first",
    "write_retrain",
    "write_watch",
]
