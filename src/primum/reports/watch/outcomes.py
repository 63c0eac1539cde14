"""What was due at each site beside what came of it, in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from primum.records.watch import Action, RetrainRun, SiteOutcome, SitePlan
from primum.reports.watch import words

_WORK: tuple[Action, ...] = ("recalibrate", "retrain")
_ORDER = ("FAILED", "NOT DONE", "ROLLED BACK", "PROMOTE", "REJECT", "HOLD", "NO VERDICT")


@dataclass(frozen=True)
class Course:
    """A site's plan and outcome; one of the two may be absent."""

    site: str
    plan: SitePlan | None
    outcome: SiteOutcome | None

    @property
    def action(self) -> Action:
        """What was done, or else what was due."""
        if self.outcome is not None:
            return self.outcome.action
        return self.plan.action if self.plan is not None else "none"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it was due."""
        told = (self.outcome.reasons if self.outcome else (), self.plan.reasons if self.plan else ())
        return tuple(dict.fromkeys(reason for part in told for reason in part))

    @property
    def labels_needed(self) -> int | None:
        """How many more labelled patients decide it."""
        if self.outcome is not None and self.outcome.labels_needed is not None:
            return self.outcome.labels_needed
        return self.plan.labels_needed if self.plan is not None else None

    @property
    def unfinished(self) -> bool:
        """Whether the same command has something left to do here."""
        if self.outcome is None:
            return self.action in _WORK
        return self.outcome.error is not None

    @property
    def results(self) -> tuple[str, ...]:
        """What came of it, in single words, the loudest first."""
        outcome = self.outcome
        if outcome is None:
            return ("NOT DONE",)
        found = ["FAILED"] if outcome.error is not None else []
        found += ["ROLLED BACK"] if outcome.rolled_back else []
        found += [outcome.verdict] if outcome.verdict is not None else []
        return tuple(found or ["NO VERDICT"])


def courses(run: RetrainRun) -> list[Course]:
    """Every site with something due or done: failed and unfinished first, then by what came of it and name."""
    due = [c for c in _all(run) if c.action in _WORK or c.unfinished or c.results[0] not in _SILENT]
    return sorted(due, key=lambda c: (_ORDER.index(c.results[0]), c.site))


_SILENT = ("NOT DONE", "NO VERDICT")


def left_alone(run: RetrainRun) -> list[Course]:
    """Every other site: those that stay or are blocked first, then those with nothing due."""
    known = {course.site for course in courses(run)}
    order: tuple[Action, ...] = ("blocked", "stay", "recalibrate", "retrain", "none")
    rest = [course for course in _all(run) if course.site not in known]
    return sorted(rest, key=lambda c: (order.index(c.action), c.site))


def _all(run: RetrainRun) -> list[Course]:
    plans = {plan.site: plan for plan in run.plans}
    outcomes = {outcome.site: outcome for outcome in run.outcomes}
    return [Course(s, plans.get(s), outcomes.get(s)) for s in dict.fromkeys((*plans, *outcomes))]


def tally(run: RetrainRun) -> list[tuple[str, str, int]]:
    """What came of it, the class of its badge, and how many sites."""
    other = {"FAILED": "dead", "NOT DONE": "dead", "ROLLED BACK": "fail", "NO VERDICT": "not"}
    badges: dict[str, str] = {**{str(word): badge for word, badge in words.VERDICTS.items()}, **other}
    counts = Counter(word for course in courses(run) for word in course.results)
    rest = Counter(course.action for course in left_alone(run))
    told = [(word, badges[word], counts[word]) for word in _ORDER if counts[word] or word in words.VERDICTS]
    return [*told, ("BLOCKED", "fail", rest["blocked"]), ("STAY", "not", rest["stay"])]


def summary(run: RetrainRun) -> str:
    """The whole run in one sentence."""
    due, counts = courses(run), Counter(word for c in courses(run) for word in c.results)
    names = {
        "PROMOTE": "promoted",
        "HOLD": "held",
        "REJECT": "rejected",
        "ROLLED BACK": "rolled back",
        "NO VERDICT": "without a verdict",
        "FAILED": "FAILED",
        "NOT DONE": "NOT DONE",
    }
    told = [f"{counts[word]:,} {name}" for word, name in names.items() if counts[word]]
    sites = words.count(len(run.plans) or len(due), "site")
    said = f"Of {sites} {len(due):,} {'was' if len(due) == 1 else 'were'} due"
    rest = Counter(course.action for course in left_alone(run))
    said += f": {', '.join(told)}." if told else "."
    if rest["stay"]:
        said += (
            f" {words.count(rest['stay'], 'stays as it is', 'stay as they are')}: too few labels to judge."
        )
    return said + (f" {rest['blocked']:,} blocked." if rest["blocked"] else "")


def gist(course: Course) -> str:
    """What it means for the site, in a sentence or two."""
    outcome = course.outcome
    if course.action in ("stay", "blocked", "none") and (outcome is None or outcome.error is None):
        return " ".join((*map(_sentence, course.reasons), *_needed(course)))
    if outcome is None:
        return "Due, and not done. The same command continues."
    if outcome.error is not None:
        return f"{_sentence(outcome.error)} The other sites are whole; the same command continues."
    told = [f"{outcome.champion_after or 'No version'} serves again."] if outcome.rolled_back else []
    told += _verdict(course, outcome)
    return " ".join((*told, *map(_sentence, outcome.verdict_reasons)))


def _verdict(course: Course, outcome: SiteOutcome) -> list[str]:
    if outcome.verdict == "PROMOTE":
        return [f"{outcome.version or outcome.champion_after or 'The candidate'} serves now."]
    if outcome.verdict == "HOLD":
        return ["These records cannot decide it.", *_needed(course), _stays(outcome)]
    if outcome.verdict == "REJECT":
        return [_stays(outcome)]
    return []


def _stays(outcome: SiteOutcome) -> str:
    if outcome.champion_after is None:
        return "No version serves here."
    return "" if outcome.rolled_back else f"{outcome.champion_after} goes on serving."


def _needed(course: Course) -> list[str]:
    needed = course.labels_needed
    if needed is None or any(f"{needed} more" in reason for reason in course.reasons):
        return []  # the reasons say it
    patients = words.count(needed, "more labelled patient is", "more labelled patients are")
    return [f"About {patients} needed to judge."]


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
