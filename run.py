"""Run one Primum pipeline: `python run.py --pipeline finetune`. See `python run.py --help`."""

from __future__ import annotations

import argparse
import sys

EPILOG = """\
examples
  python run.py --pipeline finetune
      the default job: 569 real patients, the embedded base model, ranks 8 and 16, on the CPU
  python run.py --pipeline finetune --task heart --seed 1
      another task: a file of configs/tasks
  python run.py --pipeline finetune --set model.recipe.epochs=2 --set 'model.recipe.ranks=[4]'
      any key of the configuration (docs/configuration.md), checked before anything starts
  python run.py --pipeline finetune --config my_run.yaml --dry-run
      show the resolved configuration and the plan; do nothing
  python run.py --pipeline compare --task heart --set 'compare.models=[primum-base, qwen2.5-7b]'
      models side by side on validation, with classical ones; opens no holdout
  python run.py --pipeline drift --task stroke --at 1994-06-30
      every site's last 90 days against what its champion learned from: one page, worst first
  python run.py --pipeline retrain --task stroke
      what is due at each site is recalibrated or retrained, judged by the gate, promoted or refused

what you get
  a verdict - PROMOTE, REJECT or HOLD - with its reasons, a registry version with the evidence, and a report in
  outputs/<task>/latest/report.html. An identical run answers from the cache and does not open the holdout again.

exit code
  0 a verdict of any kind, 1 a failure, 2 bad input or a store, disk or remote that does not answer
"""


def parser() -> argparse.ArgumentParser:
    """The command line of run.py; nothing heavy is imported for it."""
    p = argparse.ArgumentParser(
        prog="run.py",
        description="Fine-tune a LoRA adapter on clinical records and promote it only when the evidence allows.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "--pipeline",
        required=True,
        choices=["finetune", "compare", "drift", "retrain", "pretrain"],
        help="which pipeline to run",
    )
    p.add_argument("--config", metavar="FILE", help="a YAML file with the keys that differ from the defaults")
    p.add_argument("--task", metavar="NAME", help="a task of configs/tasks (default: breast_cancer)")
    p.add_argument("--model", metavar="NAME", help="a base model of configs/models (default: primum-base)")
    p.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="one key, for example seed=7; repeatable",
    )
    p.add_argument("--seed", type=int, help="seed of split, sampling and training (default: 42)")
    p.add_argument("--site", metavar="SITE", help="only this site's records (default: all sites)")
    p.add_argument(
        "--at",
        metavar="DATE",
        help="run as on that day: later records and outcomes do not exist (default: now)",
    )
    p.add_argument(
        "--since",
        metavar="DATE",
        help="drift, retrain: where the window begins (default: drift.window_days ago)",
    )
    p.add_argument(
        "--schedule",
        metavar="CRON",
        help="drift, retrain: let the active stack's orchestrator start it at these times, UTC: '0 3 * * 1'",
    )
    p.add_argument("--no-cache", action="store_true", help="do every step anew; opens the holdout again")
    p.add_argument(
        "--dry-run", action="store_true", help="print the resolved configuration and the plan, then stop"
    )
    p.add_argument("--output", metavar="DIR", help="where reports go (default: outputs)")
    return p


def main(argv: list[str] | None = None) -> int:
    """Parse, run, and turn every expected error into one line and its exit code."""
    arguments = parser().parse_args(argv)
    from primum.failures import failing_softly

    with failing_softly() as outcome:
        from pipelines import launch, launch_compare, launch_sites

        chosen = {
            "finetune": launch.finetune,
            "compare": launch_compare.compare,
            "pretrain": launch.pretrain,
        }
        chosen.get(arguments.pipeline, launch_sites.sites)(arguments)
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
