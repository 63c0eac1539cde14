"""The classical comparators, chosen on validation."""

from typing import Annotated

from zenml import step

from primum.baselines import best_classical
from primum.baselines import fit_baselines as fit
from primum.config import StackConfig, TaskConfig
from primum.records import Baselines, SplitVersion
from primum.versioning import load_part
from primum.workspace import find_workspace
from steps.caching import BY_CODE


@step(cache_policy=BY_CODE)
def fit_baselines(
    split: SplitVersion, task: TaskConfig, stack: StackConfig, seed: int
) -> Annotated[Baselines, "baselines"]:
    """Fit majority, LASSO and random forest on the training part; name the one best on validation."""
    home = find_workspace().home
    train, validation = (load_part(home, split, part, stack) for part in ("train", "validation"))
    fits = fit(train, validation, task, seed)
    return Baselines(fits=fits, best=best_classical(fits, task.primary_metric))
