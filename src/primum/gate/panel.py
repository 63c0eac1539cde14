"""The gate for a panel whose task is not known: only the predictions were given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from primum.config import GateConfig, Metric, TaskConfig, validate
from primum.errors import BadInput
from primum.gate.case import CANDIDATE
from primum.gate.judge import judge
from primum.records import ALL_SITES, LeakageReport, Look, Panel, Verdict

TASK = "table"
"""The task's name in evidence and ledger."""
NOT_CLASSICAL = (CANDIDATE, "base", "majority", "champion", "anchor")


def judge_panel(  # noqa: PLR0913 - what a verdict rests on, named at the call
    panel: Panel,
    *,
    config: GateConfig,
    primary_metric: Metric = "macro_f1",
    effect_of_interest: float = 0.05,
    thresholds: tuple[float, ...] = (),
    classical: str | None = None,
    look: Look | None = None,
    leakage: LeakageReport | None = None,
    inputs: Mapping[str, str] | None = None,
    task: str = TASK,
    site: str = ALL_SITES,
    seed: int = 42,
) -> Verdict:
    """Judge the system `adapter` of a panel. Without a ledger's `look` it counts as the first planned one.

    `effect_of_interest` is the smallest difference in `primary_metric` that matters to the clinic,
    `thresholds` are the probabilities of the positive class from which it would act (net benefit).
    `classical` names the classical model that was best on validation where the panel has several. `leakage`
    cannot be seen in predictions: where the configuration requires that check, a report must be given, or the
    verdict is HOLD. `inputs` (what -> hash), `task` and `site` go into the evidence. Raises BadInput for what
    cannot be judged.
    """
    if CANDIDATE not in panel.systems:
        raise BadInput(f"the panel has no system '{CANDIDATE}', which is the candidate; name it so")
    share = config.alpha / config.planned_looks
    first = Look(
        holdout=panel.content_hash(), number=1, planned=config.planned_looks, alpha=share, entry_hash=""
    )
    return judge(
        panel,
        task=task_of(panel, primary_metric, effect_of_interest, thresholds, task),
        site=site,
        candidate=panel.systems[CANDIDATE].content_hash(),
        look=look or first,
        config=config,
        best_classical=best_classical(panel, classical),
        leakage=leakage,
        inputs=dict(inputs or {}),
        seed=seed,
    )


def task_of(
    panel: Panel, metric: Metric, effect: float, thresholds: tuple[float, ...] = (), name: str = TASK
) -> TaskConfig:
    """The task as far as its predictions tell it. Raises BadInput for labels or numbers that cannot be."""
    twice = [x for x, count in Counter(x.casefold() for x in panel.labels).items() if count > 1]
    if twice:
        raise BadInput(f"gold: the label '{twice[0]}' is written in two ways; write each class in one way")
    if not all(0 < threshold < 1 for threshold in thresholds):
        raise BadInput("a decision threshold is a probability: give numbers between 0 and 1")
    return validate(
        TaskConfig,
        {
            "name": name,
            "source": {"path": "table"},
            "label": {
                "column": "gold",
                "classes": {x: (x,) for x in panel.labels},
                "positive": panel.positive,
            },
            "features": ["none"],
            "prompt": {"question": "none"},
            "primary_metric": metric,
            "effect_of_interest": effect,
            "decision_thresholds": thresholds,
        },
        "what is asked of the table",
    )


def best_classical(panel: Panel, named: str | None = None) -> str:
    """The classical system to compare with: the named or the only one.

    Raises BadInput where there are several, for the holdout must not choose, or where the named one is
    absent.
    """
    found = [name for name in panel.systems if name not in NOT_CLASSICAL]
    if named is not None and named not in found:
        raise BadInput(
            f"the table has no column '{named}'; classical models in it: {', '.join(found) or 'none'}"
        )
    if named is not None:
        return named
    if len(found) > 1:
        raise BadInput(
            f"{', '.join(found)} are all classical models; name the one that was best on validation "
            "(--classical NAME): choosing it here would use the holdout"
        )
    return found[0] if found else "classical"
