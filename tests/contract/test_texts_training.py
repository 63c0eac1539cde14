"""Free texts: how probable a base finds them, and trainings whose answers they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import RECIPE
from one_run import finetune_one

from primum.backends.base import Backend
from primum.errors import BadInput
from primum.records import Example

TEXTS = ("no sign of it", "yes, it is there", "no", "yes; seen twice and once more")


def written(rows: list[Example]) -> list[Example]:
    """The records with one of four texts that the label decides."""
    return [
        e.model_copy(update={"answer": TEXTS[(e.answer == "yes") + 2 * (i % 2)]}) for i, e in enumerate(rows)
    ]


@pytest.fixture(scope="session")
def notes(parts: tuple[list[Example], list[Example]]) -> tuple[list[Example], list[Example]]:
    return written(parts[0]), written(parts[1])


def test_likelihoods_are_sums_over_tokens_and_a_row_is_its_own(
    backend: Backend, notes: tuple[list[Example], list[Example]]
) -> None:
    found = backend.likelihood(notes[1])
    assert found.shape == (16, 2)
    assert (found[:, 0] < 0).all()
    assert (found[:, 1] >= 2).all()  # the end of the turn counts
    alone = np.concatenate([backend.likelihood([e]) for e in notes[1]])
    np.testing.assert_allclose(alone, found, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(backend.likelihood(notes[1][::-1]), found[::-1], rtol=1e-4, atol=1e-4)
    assert backend.likelihood([]).shape == (0, 2)


def test_both_backends_find_the_same(
    torch_backend: Backend, mlx_backend: Backend, notes: tuple[list[Example], list[Example]]
) -> None:
    one, other = torch_backend.likelihood(notes[1]), mlx_backend.likelihood(notes[1])
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["torch", "mlx"])
def test_what_does_not_fit_the_context_is_nan_and_trains_nothing(
    request: pytest.FixtureRequest, name: str, notes: tuple[list[Example], list[Example]], tmp_path: Path
) -> None:
    backend: Backend = request.getfixturevalue(f"{name}_backend")
    long = notes[0][0].model_copy(update={"answer": "word " * 5000})
    found = backend.likelihood([notes[0][0], long])
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()
    with pytest.raises(BadInput, match=r"1 record\(s\) do not fit the context of 'tiny' with their answers"):
        finetune_one(backend, [*notes[0], long], notes[1], labels=(), recipe=RECIPE, rank=4, seed=7,
                     out_dir=tmp_path / "r")  # fmt: skip
    blank = notes[0][0].model_copy(update={"answer": "  "})
    with pytest.raises(BadInput, match=r"1 training record\(s\) have an answer without text"):
        finetune_one(backend, [*notes[0], blank], notes[1], labels=(), recipe=RECIPE, rank=4, seed=7,
                     out_dir=tmp_path / "r")  # fmt: skip


@pytest.mark.parametrize("name", ["torch", "mlx"])
def test_a_training_on_texts_learns_them_and_repeats_bit_by_bit(
    request: pytest.FixtureRequest, name: str, notes: tuple[list[Example], list[Example]], tmp_path: Path
) -> None:
    backend: Backend = request.getfixturevalue(f"{name}_backend")

    def train(folder: str, seed: int = 7) -> object:
        return finetune_one(
            backend, *notes, labels=(), recipe=RECIPE, rank=4, seed=seed, out_dir=tmp_path / folder
        )

    made = train("one")
    assert [entry.validation_macro_f1 for entry in made.log] == [0.0] * len(made.log)
    best = min(made.log, key=lambda entry: entry.validation_loss)
    assert (made.best_epoch, made.validation_loss) == (best.epoch, best.validation_loss)
    adapted = backend.with_adapter(Path(made.path))
    after, before = adapted.likelihood(notes[1]), backend.likelihood(notes[1])
    assert -after[:, 0].sum() / after[:, 1].sum() == pytest.approx(made.validation_loss, abs=1e-5)
    assert after[:, 0].sum() > 0.8 * before[:, 0].sum()
    assert train("two").adapter_sha256 == made.adapter_sha256
    assert train("three", seed=8).adapter_sha256 != made.adapter_sha256


def test_the_fake_says_that_it_learns_labels_only(
    notes: tuple[list[Example], list[Example]], tmp_path: Path
) -> None:
    from primum.backends.fake import FakeBackend

    with pytest.raises(BadInput, match="fake learns labels, no free texts"):
        finetune_one(FakeBackend(), *notes, labels=(), recipe=RECIPE, rank=4, seed=7, out_dir=tmp_path / "r")
