"""Train one candidate of the sweep."""

from typing import Annotated

from zenml import log_metadata, step

from primum.backends import open_backend
from primum.config import ModelConfig, StackConfig, TaskConfig
from primum.progress import show
from primum.prompts import Renderer
from primum.records import Candidate, SplitVersion
from primum.scoring import examples
from primum.versioning import load_part
from primum.workspace import find_workspace
from steps.caching import BY_CODE


@step(cache_policy=BY_CODE)
def finetune(  # noqa: PLR0913 - the cache key is what is passed
    base_hash: str,
    split: SplitVersion,
    renderer: Renderer,
    task: TaskConfig,
    model: ModelConfig,
    stack: StackConfig,
    rank: int,
    seed: int,
) -> Annotated[Candidate, "candidate"]:
    """Train a LoRA adapter of `rank`; an interrupted call is continued from its last checkpoint."""
    workspace = find_workspace()
    candidate = open_backend(model, stack, workspace.project).finetune(
        examples(renderer, load_part(workspace.home, split, "train", stack)),
        examples(renderer, load_part(workspace.home, split, "validation", stack)),
        labels=tuple(renderer.verbalizers.values()),
        recipe=model.recipe,
        rank=rank,
        seed=seed,
        out_dir=workspace.work(task.name) / f"seed{seed}-r{rank}",
        progress=lambda what, done, total: show(f"rank {rank}: {what}", done, total),
    )
    log_metadata(
        {
            "base_hash": base_hash,
            "validation_macro_f1": candidate.validation_macro_f1,
            "best_epoch": candidate.best_epoch,
        }
    )
    return candidate
