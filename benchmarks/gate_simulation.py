"""Does the gate keep its promise? Simulated candidates, the gate's own checks, fixed seeds.

    python benchmarks/gate_simulation.py [--quick] [--workers 2] [--out benchmarks/results]

Every scenario draws records, base, comparators and candidates from a known truth and puts them before the
gate's checks (`primum.gate`), as they are. Calibration, coverage, net benefit, subgroups and latency are left
out: they can only make a promotion rarer. Resamples are 1,000 instead of 5,000 (the bounds are order
statistics, so this is conservative). Results: gate_simulation.json and gate_simulation.md.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import record
from scipy.stats import bootstrap
from sklearn.metrics import f1_score

from primum.config import GateConfig, Label, PromptConfig, Source, TaskConfig
from primum.gate.case import Case
from primum.gate.judge import CHECKS, decide
from primum.records import LeakageReport, Look, Panel
from primum.stats.metrics import COUNT_METRICS, Coded, confusion
from primum.stats.paired import mcnemar_exact, paired_bootstrap
from primum.stats.power import mcnemar_power, wilson

LOOKS, SWEEP, ALPHA = 4, 8, 0.05
UNASKED = ("calibration", "coverage", "net_benefit", "subgroups", "latency")
LEFT_OUT = {name: {"required": False} for name in UNASKED}
GATE = GateConfig(resamples=1000, planned_looks=LOOKS, alpha=ALPHA, **LEFT_OUT)
TASK = TaskConfig(
    name="simulation",
    source=Source(path="none.csv"),
    label=Label(column="y", classes={"no": ("0",), "yes": ("1",)}),
    features=("x",),
    prompt=PromptConfig(question="?"),
)
CLEAN = LeakageReport(patients=0, identical_rows=0, near_duplicates=0)
Codes = np.ndarray


@dataclass(frozen=True)
class World:
    """Records of patients: truth, and how hard each record is (shared within a patient where clustered)."""

    gold: Codes
    patients: Codes
    ease: np.ndarray

    def answer(self, accuracy: float, rng: np.random.Generator, likeness: float = 0.6) -> Codes:
        """Labels of a system that is right with this probability; systems share their hard records."""
        own = rng.random(self.gold.size)
        shared = rng.random(self.gold.size) < likeness
        right = np.where(shared, self.ease, own) < accuracy
        return np.where(right, self.gold, 1 - self.gold)


def draw_world(n: int, clustered: bool, rng: np.random.Generator) -> World:
    """n patients with one record, or with 1-5 records whose difficulty and truth are alike."""
    sizes = rng.integers(1, 6, n) if clustered else np.ones(n, dtype=int)
    patients = np.repeat(np.arange(n), sizes)
    truth = (rng.random(n) < 0.4)[patients]
    gold = (
        np.where(rng.random(patients.size) < 0.9, truth, ~truth).astype(int)
        if clustered
        else truth.astype(int)
    )
    ease = np.where(rng.random(patients.size) < 0.5, rng.random(n)[patients], rng.random(patients.size))
    return World(gold, patients, ease if clustered else rng.random(n))


def verdict(world: World, systems: dict[str, Codes], number: int, seed: int) -> tuple[str, dict[str, str]]:
    """Put the system "adapter" before the gate's checks; (outcome, check -> status)."""
    coded = Coded.__new__(Coded)
    coded.classes, coded.positive, coded.gold, coded.patients = 2, 1, world.gold, world.patients
    coded.patient_count = int(world.patients.max()) + 1
    coded.pred, coded.log_probs, coded.with_scores = systems, {}, set()
    panel = Panel.model_construct(
        labels=("no", "yes"), positive="yes", record_ids=("",), sites=("all",), systems=systems, subgroups={}
    )
    look = Look(holdout="h", number=number, planned=LOOKS, alpha=ALPHA / LOOKS, entry_hash="e")
    case = Case(panel, coded, TASK, GATE, look, "lasso", CLEAN, seed)
    checks = [check(case) for name, check in CHECKS.items() if name not in LEFT_OUT]
    return decide(checks, look)[0], {check.name: check.status for check in checks}


def macro_f1(gold: Codes, pred: Codes) -> float:
    return float(COUNT_METRICS["macro_f1"](confusion(gold, pred, 2), 1))


def others(world: World, base: float, rng: np.random.Generator) -> dict[str, Codes]:
    """Comparators that do not bind, so that beats_base alone stands between the candidate and promotion."""
    return {
        "base": world.answer(base, rng),
        "majority": np.zeros_like(world.gold),
        "lasso": world.answer(0.55, rng),
    }


def ever_promoted(n: int, clustered: bool, kind: str, seed: int) -> bool:
    """Four looks at one holdout, each with the best on validation of 8 candidates that are no better."""
    rng = np.random.default_rng(seed)
    base = 0.5 if kind == "no skill" else 0.75
    holdout, validation = draw_world(n, clustered, rng), draw_world(max(20, n // 2), clustered, rng)
    rivals = others(holdout, base, rng)
    for number in range(1, LOOKS + 1):
        if kind == "majority":
            best = np.zeros_like(holdout.gold)
        else:
            sweep = [
                (macro_f1(validation.gold, validation.answer(base, rng)), holdout.answer(base, rng))
                for _ in range(SWEEP)
            ]
            best = max(sweep, key=lambda pair: pair[0])[1]
        pairs = mcnemar_exact(best == holdout.gold, rivals["base"] == holdout.gold, patients=holdout.patients)
        if pairs.p > ALPHA / LOOKS:
            continue  # beats_base cannot pass, so the rest need not be computed
        if verdict(holdout, {**rivals, "adapter": best}, number, seed)[0] == "PROMOTE":
            return True
    return False


def ten_points_better(n: int, seed: int) -> tuple[str, str]:
    """One look at a candidate that wins 15% and loses 5% of the patients against its base of 70%."""
    rng = np.random.default_rng(seed)
    world = draw_world(n, clustered=False, rng=rng)
    draw = rng.random(n)
    base = np.where(draw < 0.70, world.gold, 1 - world.gold)
    wins, losses = (draw >= 0.70) & (draw < 0.85), draw < 0.05
    adapter = np.where((base == world.gold) & ~losses | wins, world.gold, 1 - world.gold)
    systems = {**others(world, 0.7, rng), "base": base, "adapter": adapter}
    outcome, statuses = verdict(world, systems, 1, seed)
    return outcome, statuses["beats_base"]


def slow_decline(n: int, anchored: bool, seed: int) -> tuple[int, float]:
    """Twenty yearly retrainings, each 0.01 worse than production, each on a fresh holdout.

    Returns how many were promoted and how far production fell below the anchor.
    """
    rng = np.random.default_rng(seed)
    first, production, promoted = 0.90, 0.90, 0
    for _year in range(20):
        world = draw_world(n, clustered=False, rng=rng)
        systems = others(world, 0.6, rng)
        candidate = production - 0.01
        for name, accuracy in (("adapter", candidate), ("champion", production), ("anchor", first)):
            systems[name] = world.answer(accuracy, rng, likeness=0.9)
        if not anchored:
            del systems["anchor"]
        if verdict(world, systems, 1, seed)[0] == "PROMOTE":
            production, promoted = candidate, promoted + 1
    return promoted, first - production


def passes_at_the_margin(n: int, discordance: float, pseudo: bool, seed: int) -> bool:
    """Whether a candidate that is worse by exactly the margin of 0.02 in accuracy passes as not worse."""
    rng = np.random.default_rng(seed)
    gold = (rng.random(n) < 0.4).astype(int)
    draw = rng.random(n)
    lost, won = draw < (discordance + 0.02) / 2, draw > 1 - (discordance - 0.02) / 2
    a, b = np.where(lost, 1 - gold, gold), np.where(won, 1 - gold, gold)
    found = paired_bootstrap(
        gold, a, b, np.arange(n), classes=2, metric="accuracy", resamples=1000, rng=rng, alpha=ALPHA / LOOKS,
        pseudo_patients=pseudo,
    )  # fmt: skip
    return found.lower > -0.02


def covered(n: int, metric: str, method: str, truth: float, seed: int) -> bool:
    """Whether the 95% interval holds the true difference; patients with 1-5 records."""
    rng = np.random.default_rng(seed)
    world = draw_world(n, clustered=True, rng=rng)
    a, b = world.answer(0.8, rng), world.answer(0.7, rng)
    found = paired_bootstrap(
        world.gold, a, b, world.patients, classes=2, metric=metric, resamples=1000, rng=rng, method=method
    )
    return found.lower <= truth <= found.upper


def true_difference(metric: str) -> float:
    rng = np.random.default_rng(0)
    world = draw_world(500_000, clustered=True, rng=rng)
    a, b = (confusion(world.gold, world.answer(p, rng), 2) for p in (0.8, 0.7))
    return float(COUNT_METRICS[metric](a, 1) - COUNT_METRICS[metric](b, 1))


def speed() -> dict[str, float]:
    """Ours whole, scipy's on 30 resamples and scaled: its cost is a loop over resamples."""
    rng = np.random.default_rng(0)
    world = draw_world(10_000, clustered=False, rng=rng)
    a, b = world.answer(0.8, rng), world.answer(0.7, rng)

    def difference(gold: Codes, x: Codes, y: Codes) -> float:
        return f1_score(gold, x, average="macro") - f1_score(gold, y, average="macro")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    paired_bootstrap(world.gold, a, b, world.patients, classes=2, metric="macro_f1", resamples=5000, rng=rng)
    ours = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    few = 30
    start = time.perf_counter()
    bootstrap(
        (world.gold, a, b),
        difference,
        paired=True,
        vectorized=False,
        n_resamples=few,
        method="percentile",
        rng=1,
    )
    scipy_seconds = (time.perf_counter() - start) * 5000 / few
    return {
        "scipy_seconds": scipy_seconds,
        "ours_seconds": ours,
        "ratio": scipy_seconds / ours,
        "added_memory_mb": (peak - before) / 1024,
        "process_memory_mb": peak / 1024,
    }


def share(hits: int, runs: int) -> dict[str, float | int]:
    low, high = wilson(hits, runs)
    return {"runs": runs, "share": hits / runs, "low": low, "high": high}


def nulls(pool: ProcessPoolExecutor, runs: int) -> list[dict]:
    rows = []
    for kind in ("no difference", "no skill", "majority"):
        for n in (59, 100, 200, 1000):
            for clustered in (False, True):
                count = runs if kind != "majority" else max(20, runs // 10)
                one = partial(ever_promoted, n, clustered, kind)
                hits = sum(pool.map(one, range(count), chunksize=8))
                rows.append({"candidate": kind, "patients": n, "clustered": clustered, **share(hits, count)})
                print(rows[-1], flush=True)
    return rows


def powers(pool: ProcessPoolExecutor, runs: int) -> list[dict]:
    rows = []
    for n in (59, 100, 200, 400):
        found = list(pool.map(partial(ten_points_better, n), range(runs), chunksize=16))
        outcomes = [outcome for outcome, _ in found]
        rest = [outcome for outcome in outcomes if outcome != "PROMOTE"]
        exact = mcnemar_power(n, 0.15, 0.05, ALPHA / LOOKS)
        passed = sum(base == "pass" for _, base in found)
        rows.append(
            {
                "patients": n,
                "exact_power": exact,
                "beats_base": share(passed, runs),
                "promoted": share(outcomes.count("PROMOTE"), runs),
                "hold_of_not_promoted": rest.count("HOLD") / max(1, len(rest)),
            }
        )
        print(rows[-1], flush=True)
    return rows


def declines(pool: ProcessPoolExecutor, runs: int) -> list[dict]:
    rows = []
    for n in (1000, 6000):
        for anchored in (True, False):
            found = list(pool.map(partial(slow_decline, n, anchored), range(runs)))
            too_far = sum(fall > GATE.not_worse_than_anchor.margin + 1e-9 for _, fall in found)
            rows.append(
                {
                    "patients": n,
                    "anchor_check": anchored,
                    "mean_promotions": float(np.mean([promoted for promoted, _ in found])),
                    "worst_fall": float(max(fall for _, fall in found)),
                    "fell_beyond_margin": share(too_far, runs),
                }
            )
            print(rows[-1], flush=True)
    return rows


def margins(pool: ProcessPoolExecutor, runs: int) -> list[dict]:
    rows = []
    for n in (59, 100, 200, 1000):
        for discordance in (0.02, 0.05, 0.1):
            row: dict = {"patients": n, "discordance": discordance, "nominal": ALPHA / LOOKS / 2}
            for title, pseudo in (("plain bootstrap", False), ("with pseudo-patients (the gate)", True)):
                one = partial(passes_at_the_margin, n, discordance, pseudo)
                row[title] = share(sum(pool.map(one, range(runs), chunksize=50)), runs)
            rows.append(row)
            print(row, flush=True)
    return rows


def coverages(pool: ProcessPoolExecutor, runs: int) -> list[dict]:
    rows = []
    for metric in ("accuracy", "macro_f1", "balanced_accuracy"):
        truth = true_difference(metric)
        for n in (100, 200, 1000):
            for method in ("percentile", "bca"):
                one = partial(covered, n, metric, method, truth)
                hits = sum(pool.map(one, range(runs), chunksize=16))
                rows.append({"metric": metric, "patients": n, "method": method, **share(hits, runs)})
                print(rows[-1], flush=True)
    return rows


def table(rows: list[dict]) -> str:
    """Markdown; a nested share is written as 'share (low to high)'."""

    def cell(value: object) -> str:
        if isinstance(value, dict):
            return f"{value['share']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    head = list(rows[0])
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(cell(row[key]) for key in head) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


SCENARIOS: dict[str, Callable[[ProcessPoolExecutor, int], list[dict]]] = {
    "Ever promoted in four looks, though not better": nulls,
    "Ten points better": powers,
    "Twenty yearly losses of half a margin": declines,
    "Non-inferiority passed by a candidate that is worse by the margin": margins,
    "Coverage of the 95% interval, patients of 1-5 records": coverages,
}


def goals(found: dict[str, list[dict]], seconds: float) -> list[dict]:
    """What was asked for, each beside the worst cell that was found."""
    null, power, decline, _, cover, speeds = found.values()
    fast = speeds[0]
    held = next(cell["hold_of_not_promoted"] for cell in power if cell["patients"] == 59)
    away = max(abs(cell["beats_base"]["share"] - cell["exact_power"]) for cell in power)
    fell = max(cell["fell_beyond_margin"]["share"] for cell in decline if cell["anchor_check"])
    shares = [cell["share"] for cell in cover]

    def most(what: str, value: float, limit: float) -> dict:
        return record.row(what, value, None, f"<= {limit:g}", value <= limit)

    def least(what: str, value: float, limit: float) -> dict:
        return record.row(what, value, None, f">= {limit:g}", value >= limit)

    return [
        most("ever promoted in four looks, though not better: highest", max(c["share"] for c in null), 0.05),
        most("power of beats_base: furthest from the exact test", away, 0.03),
        least("n = 59: share of HOLD among what is not promoted", held, 0.9),
        most("20 yearly losses: share that fell beyond the margin", fell, 0.05),
        least("coverage of the 95% interval: lowest", min(shares), 0.93),
        most("coverage of the 95% interval: highest", max(shares), 0.97),
        record.row(
            "seconds of a bootstrap of 5,000, n = 10,000, against scipy's (scaled from 30 resamples)",
            fast["ours_seconds"],
            fast["scipy_seconds"],
            "ratio <= 0.1",
            fast["ours_seconds"] <= fast["scipy_seconds"] / 10,
        ),
        most("bootstrap: memory of the process in MB", fast["process_memory_mb"], 500),
        most("the whole simulation in seconds", seconds, 600),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    runs = dict(zip(SCENARIOS, (1000, 1200, 30, 2000, 1000), strict=True))
    start, found = time.perf_counter(), {}
    with ProcessPoolExecutor(options.workers) as pool:
        for title, scenario in SCENARIOS.items():
            found[title] = scenario(pool, runs[title] // (10 if options.quick else 1))
    found["Speed"] = [speed()]
    seconds = time.perf_counter() - start
    cpu = sum(resource.getrusage(who)[0] for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    libraries = ("numpy", "scipy", "scikit-learn")
    rows = goals(found, seconds)
    record.write("gate_simulation", rows, libraries, options.out, cpu_seconds=cpu, scenarios=found)
    found = {"Goals": rows, **found}
    body = "\n\n".join(f"## {title}\n\n{table(rows)}" for title, rows in found.items())
    spent = f"{seconds:.0f} s in all, {cpu:.0f} s of CPU time, {options.workers} workers."
    (options.out / "gate_simulation.md").write_text(
        f"# Gate simulation\n\n{str(__doc__).strip()}\n\n{body}\n\n{spent}\n"
    )
    print(spent)


if __name__ == "__main__":
    main()
