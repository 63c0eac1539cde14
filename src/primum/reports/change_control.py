"""The change-control plan: what may change, how each change is judged, what happens then.

Generated from the gate's configuration and the task, in the three parts of FDA's guidance "Marketing Submission
Recommendations for a Predetermined Change Control Plan for Artificial Intelligence-Enabled Device Software
Functions" (final December 2024, reissued August 2025): description of modifications, modification protocol,
impact assessment.
"""

from __future__ import annotations

from primum.reports.check_rules import RULES, marks, metric
from primum.reports.document import Document, Section, Todo
from primum.reports.facts import RunFacts
from primum.reports.gate_facts import TableFacts
from primum.reports.shown import Shown

_OPENING = (
    "A draft, generated from the configuration with which this candidate was judged. Modelled on FDA's guidance on "
    "predetermined change control plans for AI-enabled device software functions (final December 2024, reissued "
    "August 2025): description of modifications, modification protocol, impact assessment. No authority has seen "
    "or authorised it, and Primum is not a medical device."
)
_PERSON = Todo("who owns this plan, from when it holds, whom a change is told to, and how users learn of it.")
_CHANGE = ("Change", "What it comprises", "How it is judged")
_FIXED = ("Stays as it is", "Now", "How a change would be seen")


def of_run(facts: RunFacts) -> Document:
    """The plan for an adapter that a run made and judged."""
    return _plan(facts, _may_change(facts), _may_not_change(facts), _after_run())


def of_table(facts: TableFacts) -> Document:
    """The plan for whatever model the predictions come from: of the model itself nothing is known."""
    changes = (
        ("New version of the model", "any change of the system that makes the predictions", _full(facts)),
        ("New holdout", "other patients than any holdout or training had, under a new name", _full(facts)),
    )
    return _plan(facts, changes, _fixed_table(facts), _after_table(facts))


def _plan(
    facts: Shown,
    may: tuple[tuple[str, ...], ...],
    may_not: tuple[tuple[str, ...], ...],
    after: tuple[tuple[str, ...], ...],
) -> Document:
    sections = (
        Section("1 What may change", (), _CHANGE, may),
        Section(
            "2 What may not change under this plan",
            ("Whoever changes one of these makes a new task or a new plan, and starts with a new holdout.",),
            _FIXED,
            may_not,
        ),
        Section(
            "3 How each change is judged",
            (
                _looks(facts),
                "Every required check must pass. A check that cannot be judged holds the promotion.",
            ),
            ("Check", "Required", "Passes when"),
            tuple(_rule(facts, name) for name in RULES),
        ),
        Section("4 What happens then", (), ("Outcome", "Consequence"), after),
        Section(
            "5 Impact assessment",
            (Todo("benefit of each change for patients, and what remains of each risk after its check."),),
            ("Risk of a change", "What watches it"),
            _risks(facts),
        ),
    )
    return Document("change_control", "Change-control plan", (_OPENING, _PERSON), sections)


def _full(facts: Shown) -> str:
    return f"all checks of part 3, on one look at a holdout, alpha {_share(facts):.4g}"


def _share(facts: Shown) -> float:
    return facts.gate.alpha / facts.gate.planned_looks


def _looks(facts: Shown) -> str:
    gate, look = facts.gate, facts.verdict.evidence.look
    spent = "all spent" if look.exhausted else f"this was look {look.number}"
    return (
        f"A holdout has {gate.planned_looks} planned looks and alpha {gate.alpha:g} for all of them, "
        f"{_share(facts):.4g} each, two-sided ({spent}). A look is counted before anything is scored; after the last "
        "one the verdict is HOLD until there is a new holdout. Candidate and comparators are scored on identical "
        f"records; intervals resample patients ({gate.resamples:,} times)."
    )


def _may_change(facts: RunFacts) -> tuple[tuple[str, ...], ...]:
    recipe = facts.config.model.recipe
    ranks = ", ".join(map(str, recipe.ranks))
    return (
        (
            "New labelled records",
            "a new split version of the same task (`primum split rotate`), adapter trained anew",
            _full(facts),
        ),
        (
            "Recipe",
            f"ranks (now {ranks}), learning rate ({recipe.learning_rate:g}), epochs ({recipe.epochs}), batch size "
            f"({recipe.batch_size}), dropout, modules, seed; chosen on validation only",
            _full(facts),
        ),
        (
            "Recalibration",
            f"of the probabilities (now {facts.calibration.described}), on validation only; it makes a new bundle",
            _full(facts),
        ),
    )


def _may_not_change(facts: RunFacts) -> tuple[tuple[str, ...], ...]:
    task = facts.config.task
    words = ", ".join(f"{label} = “{said}”" for label, said in task.verbalizers.items())
    base = f"{facts.base_id}, SHA-256 {facts.base_hash[:12]}"
    return (
        ("Base model", base, "its hash; an adapter of another base is not compared with this one"),
        ("Question", f"“{task.prompt.question}”", f"the prompt hash (now {facts.prompt_hash[:12]})"),
        ("Classes and their words", words, "the prompt hash; labels must be the same to be compared"),
        ("Features", f"{len(task.features)} of the task file", "the prompt hash"),
        *_fixed(facts),
    )


def _fixed_table(facts: TableFacts) -> tuple[tuple[str, ...], ...]:
    where = facts.holdout or "none was named, so nobody counts its looks"
    return (
        ("Classes", ", ".join(facts.panel.labels), "labels must be the same to be compared"),
        ("Records of a holdout", where, "the ledger refuses other records under its name"),
        *_fixed(facts),
    )


def _fixed(facts: Shown) -> tuple[tuple[str, ...], ...]:
    positive = facts.panel.positive or "none, there are more than two classes"
    return (
        ("Positive class", positive, "it stands in the report"),
        (
            "Primary metric and difference that matters",
            f"{metric(facts)}, {facts.effect_of_interest:g}",
            "both stand in the files beside the report",
        ),
        (
            "Decision thresholds",
            marks(facts) or "none declared",
            "a new one needs a new look: it may not be chosen on the holdout",
        ),
        (
            "Checks, margins, alpha, planned looks",
            f"part 3, hash {facts.gate.content_hash()[:12]}",
            "the hash stands in the evidence; the ledger refuses another plan of looks for a holdout",
        ),
    )


def _rule(facts: Shown, name: str) -> tuple[str, ...]:
    required = getattr(facts.gate, name).required
    return name.replace("_", " "), "yes" if required else "no: reported, decides nothing", RULES[name](facts)


_JUDGED = (
    (
        "HOLD",
        "No promotion: what is in use stays. The reason says what is missing, such as more labelled patients.",
    ),
    ("REJECT", "No promotion: what is in use stays. It was shown not to be good enough."),
)


def _after_run() -> tuple[tuple[str, ...], ...]:
    return (
        ("Before anything else", "The decision, whatever it is, is appended to the hash-chained ledger."),
        ("PROMOTE", "The candidate becomes production; what was there is archived and can be brought back."),
        *_JUDGED,
        (
            "Override",
            "A person may promote after a HOLD only, never after a REJECT and never where the leakage or the parsed "
            "check failed, nor an adapter that was trained with canaries; name and reason are kept in the ledger "
            "(`primum registry promote --override`).",
        ),
        (
            "Rollback",
            "An earlier production version is put back (`primum registry rollback`), written in the ledger first.",
        ),
        ("A run that breaks off", "Its look stays spent; nothing changes in production."),
    )


def _after_table(facts: TableFacts) -> tuple[tuple[str, ...], ...]:
    kept = (
        "The decision is appended to the hash-chained ledger."
        if facts.holdout
        else "Nothing is written down, for no holdout was named (--holdout)."
    )
    return (
        ("Before anything else", kept),
        (
            "PROMOTE",
            "The evidence speaks for using the candidate. Primum changes nothing: it holds no model.",
        ),
        *_JUDGED,
        (
            "Putting into use, override, rollback",
            Todo("how it is done here, by whom, and where it is written."),
        ),
    )


def _risks(facts: Shown) -> tuple[tuple[str, ...], ...]:
    return (
        ("It becomes worse than what is in use", "not worse than champion; not worse than classical"),
        ("Many small losses add up", "not worse than anchor"),
        ("It gains by answering the frequent class", "beats majority; balance"),
        ("Its probabilities mislead", "calibration; net benefit"),
        ("It harms one group of patients", "subgroups; those not assessed are not watched"),
        ("It knows the holdout", "leakage"),
        ("It gives away whom it learned from", "privacy"),
        (
            "Looking often enough finds luck",
            f"alpha {_share(facts):.4g} a look, {facts.gate.planned_looks} looks",
        ),
        ("Patients change after the evaluation", Todo("how use is watched, and what leads to a rollback.")),
    )
