"""What the backends' trainings share: order of records, judging, stopping, sealing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from primum.backends.base import Recipe
from primum.backends.epochs import best_epoch, epoch_order, going, is_over, judge
from primum.backends.training import prune, seal, seal_sweep, sealed, sealed_sweep
from primum.records import TrainingLog


def entry(epoch: int, macro_f1: float, loss: float = 1.0) -> TrainingLog:
    return TrainingLog(
        epoch=epoch, train_loss=1.0, validation_macro_f1=macro_f1, validation_loss=loss, seconds=1.0
    )


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 5), st.integers(0, 9))
def test_every_class_is_sampled_equally_often(first: int, second: int, epoch: int, seed: int) -> None:
    classes = ["a"] * first + ["b"] * second
    order = epoch_order(classes, epoch, seed, balanced=True, lengths=[1] * len(classes), batch=4)
    counts = Counter(classes[i] for i in order)
    assert len(order) == len(classes)
    assert abs(counts["a"] - counts["b"]) <= 1


def test_no_record_of_a_large_class_is_left_out_for_good_and_none_is_preferred() -> None:
    classes = ["rare"] * 10 + ["often"] * 90
    seen = Counter(
        i
        for epoch in range(9)
        for i in epoch_order(classes, epoch, 1, balanced=True, lengths=[1] * 100, batch=16)
    )
    assert {seen[i] for i in range(10)} == {45}
    assert {seen[i] for i in range(10, 100)} == {5}


def test_unbalanced_epochs_are_permutations_and_a_pure_function_of_the_seed() -> None:
    lengths = list(np.random.default_rng(0).integers(5, 50, 37))
    orders = [
        epoch_order(["a", "b"] * 18 + ["a"], epoch, seed, balanced=False, lengths=lengths, batch=4)
        for epoch, seed in ((0, 1), (1, 1), (0, 2), (0, 1))
    ]
    assert all(sorted(order) == list(range(37)) for order in orders)
    assert orders[0] == orders[3] != orders[1] != orders[2]


def test_like_lengths_stand_together() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(10, 400, 64)]
    order = epoch_order(["a"] * 64, 0, 0, balanced=False, lengths=lengths, batch=8)
    padded = sum(8 * max(lengths[i] for i in order[b : b + 8]) for b in range(0, 64, 8))
    shuffled = np.random.default_rng(1).permutation(64)
    loose = sum(8 * max(lengths[i] for i in shuffled[b : b + 8]) for b in range(0, 64, 8))
    assert padded < 0.8 * loose


def test_an_unreadable_row_is_wrong_and_dear_but_finite() -> None:
    log_probs = np.log([[0.9, 0.1], [0.2, 0.8]])
    macro_f1, loss = judge([0, 1], log_probs)
    assert macro_f1 == 1.0
    assert loss == -(np.log(0.9) + np.log(0.8)) / 2
    log_probs[1] = np.nan
    macro_f1, loss = judge([0, 1], log_probs)
    assert macro_f1 == 0.5
    assert 300 < loss < 400


def test_ties_go_to_the_lower_loss_then_to_the_earlier_epoch() -> None:
    assert best_epoch([entry(1, 0.8), entry(2, 0.9, 0.5), entry(3, 0.9, 0.4), entry(4, 0.9, 0.4)]).epoch == 3


def test_training_is_over_after_its_epochs_or_its_patience() -> None:
    recipe = Recipe(epochs=4, patience=2)
    assert not is_over([], recipe)
    assert not is_over([entry(1, 0.9), entry(2, 0.8)], recipe)
    assert is_over([entry(1, 0.9), entry(2, 0.8), entry(3, 0.9)], recipe)
    assert not is_over([entry(1, 0.8), entry(2, 0.9), entry(3, 0.8)], recipe)
    assert is_over([entry(1, 0.1), entry(2, 0.2), entry(3, 0.3), entry(4, 0.4)], recipe)


def test_of_a_sweep_those_go_on_that_have_the_latest_epoch_and_are_not_over() -> None:
    recipe = Recipe(epochs=4, patience=2)
    better = (entry(1, 0.7), entry(2, 0.8), entry(3, 0.9))
    left_early = better[:2]
    no_progress = (entry(1, 0.9), entry(2, 0.8), entry(3, 0.8))
    assert going([better, left_early, no_progress], recipe) == (0,)
    assert going([(), ()], recipe) == (0, 1)
    assert going([(*better, entry(4, 0.9))], recipe) == ()


def test_a_start_is_epoch_0_and_no_epoch_of_learning() -> None:
    recipe = Recipe(epochs=3, patience=2)
    start = entry(0, 0.9)
    assert not is_over([start], Recipe(epochs=1, patience=0))
    assert is_over([start, entry(1, 0.8)], Recipe(epochs=1))
    assert not is_over([start, entry(1, 0.8)], recipe)
    assert is_over([start, entry(1, 0.8), entry(2, 0.8)], recipe)
    assert not is_over([start, entry(1, 0.95), entry(2, 0.8)], recipe)
    assert best_epoch([start, entry(1, 0.9)]).epoch == 0
    fresh, begun = (entry(1, 0.5), entry(2, 0.6)), (start, entry(1, 0.95), entry(2, 0.8))
    assert going([fresh, begun, begun[:2]], recipe) == (0, 1)
    assert going([(), (start,)], recipe) == (0, 1)


def test_a_start_that_is_the_best_needs_no_checkpoint(tmp_path: Path) -> None:
    log = [entry(0, 0.95)]
    for epoch, macro_f1 in enumerate((0.5, 0.9, 0.8, 0.7), start=1):
        log.append(entry(epoch, macro_f1))
        checkpoint(tmp_path, 10 * epoch, log)
        prune(tmp_path)
    assert [folder.name for folder, _ in sealed(tmp_path)] == ["checkpoint-30", "checkpoint-40"]


def checkpoint(out: Path, step: int, log: list[TrainingLog]) -> Path:
    folder = out / "checkpoints" / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "weights").write_text(str(step))
    seal(folder, log)
    return folder


def test_only_the_best_and_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    log: list[TrainingLog] = []
    for epoch, macro_f1 in enumerate((0.5, 0.9, 0.8, 0.7, 0.6), start=1):
        log.append(entry(epoch, macro_f1))
        checkpoint(tmp_path, 10 * epoch, log)
        prune(tmp_path)
    assert [folder.name for folder, _ in sealed(tmp_path)] == [
        "checkpoint-20",
        "checkpoint-40",
        "checkpoint-50",
    ]
    assert sealed(tmp_path)[-1][1] == tuple(log)


def test_a_checkpoint_without_its_best_epoch_is_of_no_use(tmp_path: Path) -> None:
    log = [entry(1, 0.5), entry(2, 0.9), entry(3, 0.8)]
    folders = [checkpoint(tmp_path, step, log[:step]) for step in (1, 2, 3)]
    (folders[1] / "weights").write_text("altered")
    assert [folder for folder, _ in sealed(tmp_path)] == [folders[0]]
    assert not folders[1].exists()
    assert not folders[2].exists()


def test_a_sweep_keeps_the_best_epoch_of_every_candidate_with_the_files_below(tmp_path: Path) -> None:
    first = [entry(1, 0.9), entry(2, 0.8), entry(3, 0.8), entry(4, 0.8), entry(5, 0.8)]
    second = [entry(1, 0.5), entry(2, 0.9), entry(3, 0.8)]  # left after its third epoch
    for epoch in range(1, 6):
        folder = tmp_path / "checkpoints" / f"checkpoint-{epoch}"
        (folder / "r8s1").mkdir(parents=True)
        (folder / "r8s1" / "weights").write_text(str(epoch))
        seal_sweep(folder, [tuple(first[:epoch]), tuple(second[:epoch])])
        prune(tmp_path)
    whole = sealed_sweep(tmp_path)
    assert [folder.name[-1] for folder, _ in whole] == ["1", "2", "4", "5"]
    assert whole[-1][1] == (tuple(first), tuple(second))
    (whole[1][0] / "r8s1" / "weights").write_text("altered")
    assert [folder.name[-1] for folder, _ in sealed_sweep(tmp_path)] == ["1"]
