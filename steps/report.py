"""Leave the run's files, and show the report in the ZenML dashboard."""

from pathlib import Path
from typing import Annotated

from zenml import get_step_context, log_metadata, step
from zenml.types import HTMLString

from primum.bundle import Bundle
from primum.config import RunConfig
from primum.records import (
    Baselines,
    Decision,
    Evaluation,
    IngestReport,
    RegisteredVersion,
    SplitVersion,
    Sweep,
)
from primum.registry import utc_now
from primum.reports.facts import RunFacts
from primum.reports.run import gather, publish, summary
from primum.scoring import PromptFit
from primum.selection import best_candidate
from primum.versioning import pointer_note
from primum.workspace import find_workspace


@step(enable_cache=False)  # every run leaves its folder
def report(  # noqa: PLR0913 - a report shows everything
    config: RunConfig,
    output: str,
    ingested: IngestReport,
    split: SplitVersion,
    prompt_fit: PromptFit,
    sweep: Sweep,
    bundle: Bundle,
    baselines: Baselines,
    evaluation: Evaluation,
    decision: Decision,
    version: RegisteredVersion,
) -> tuple[Annotated[HTMLString, "report"], Annotated[RunFacts, "facts"]]:
    """Write outputs/<task>/<run>/; return its report.html for the dashboard, and the facts behind it."""
    run = get_step_context().pipeline_run
    facts = gather(
        config=config,
        ingested=ingested,
        split=split,
        prompt_fit=prompt_fit,
        candidates=sweep.candidates,
        chosen=best_candidate(sweep.candidates),
        bundle=bundle,
        baselines=baselines,
        evaluation=evaluation,
        decision=decision,
        version=version,
        started=run.start_time or utc_now(),
        stage_seconds={
            name: (s.end_time - s.start_time).total_seconds()
            for name, s in run.steps.items()
            if s.start_time and s.end_time
        },
        cached=run.steps["evaluate"].status.value == "cached",
        pointer=pointer_note(find_workspace().home, split),
    )
    log_metadata(metadata={**summary(facts)}, run_id_name_or_prefix=run.id)
    page = publish(Path(output), facts).read_text(encoding="utf-8")
    return HTMLString(page), facts
