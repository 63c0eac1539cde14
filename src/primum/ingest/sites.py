"""The names of sites: which one is meant, and which look like one."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from primum.config import TaskConfig
from primum.errors import BadInput
from primum.ingest.place import listed
from primum.records import ALL_SITES

SHOWN = 10
"""Names of sites that a message lists at most."""
LONGEST = 150
"""Letters of a site's name: ledger and registry have room for so many."""
PAIRS = 5
"""Notes about names that look like one, at most."""


def check_sites(names: Sequence[str], task: TaskConfig, file: str, site: str) -> None:
    """Raise BadInput where `site` is none of the source's sites, `names`, or where a name is `all` or too long."""
    if site != ALL_SITES and task.keys.site is None:
        raise BadInput(f"task '{task.name}' names no column of sites (keys.site); leave --site away")
    where = f"{file}, column '{task.keys.site}'"
    if (longest := max(map(len, names), default=0)) > LONGEST:
        raise BadInput(
            f"{where}: a site's name has {longest} letters; at most {LONGEST}: is it the column of sites?"
        )
    if ALL_SITES in names and len(names) > 1:
        raise BadInput(f"{where}: a site is named '{ALL_SITES}', which means every site; rename it")
    if site == ALL_SITES or site in names:
        return
    near = _nearest(site, names)
    guess = f"; did you mean '{near[0]}'?" if near else "."
    known = listed(dict.fromkeys((*near, *sorted(names))), SHOWN)
    raise BadInput(f"{file}: unknown site '{site}'{guess} Known ({len(names)}): {known}")


def _nearest(site: str, names: Sequence[str]) -> list[str]:
    bare = {name: plain(name) for name in sorted(names)}
    near = difflib.get_close_matches(plain(site), bare.values(), n=3, cutoff=0.5)
    return [name for wanted in dict.fromkeys(near) for name in bare if bare[name] == wanted]


def look_alikes(names: Sequence[str], site: str) -> list[str]:
    """A note for each set of names that differ only by case, blanks, punctuation or accents; with `site` only
    for the set that it belongs to."""
    same = defaultdict(list)
    for name in sorted(names):
        same[plain(name)].append(name)
    doubtful = [found for found in same.values() if len(found) > 1 and (site in (ALL_SITES, *found))]
    notes = [f"sites {_joined(found)} look like one: renamed?" for found in doubtful[:PAIRS]]
    more = len(doubtful) - PAIRS
    return [*notes, f"{more} more set(s) of sites look like one: renamed?"] if more > 0 else notes


def plain(name: str) -> str:
    """The name without case, accents, blanks and punctuation; numbers stay apart from each other."""
    letters = "".join(
        c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c)
    )
    words = " ".join(re.findall(r"\d+|[^\W\d_]+", letters))
    return re.sub(r"(?<!\d) | (?!\d)", "", words) or name


def _joined(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]])
