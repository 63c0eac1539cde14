"""Models side by side on the same records; no holdout is opened."""

from zenml import pipeline, unmapped
from zenml.enums import ExecutionMode

from pipelines.finetune import on_device
from primum.config import StackConfig
from steps.compare import Cells, compare_cell, open_comparison, report_comparison


@pipeline(name="compare", dynamic=True, enable_cache=False, execution_mode=ExecutionMode.CONTINUE_ON_FAILURE)
def compare_pipeline(cells: Cells, stack: StackConfig, output: str) -> None:
    """Records of every task -> each model on each task with each seed -> one table."""
    comparison, names = open_comparison(cells, output)
    results = on_device(compare_cell, stack).map(cell=names, comparison=unmapped(comparison))
    report_comparison(comparison, results)
