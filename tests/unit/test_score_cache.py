"""Scores from the cache are those of the backend, whatever happens to the file."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.backends.base import Backend, GenerationLimits, Progress
from primum.backends.fake import FakeBackend
from primum.score_cache import ScoreCache

LABELS = ("ill", "well")


class Counting(FakeBackend):
    """Remembers what it was asked."""

    def __init__(self, name: str = "fake", numerics: str = "fake/float64", context: int = 4095) -> None:
        super().__init__(name)
        self.asked: list[list[str]] = []
        self._numerics, self._context = numerics, context

    @property
    def numerics(self) -> str:
        return self._numerics

    def measure(self, prompts: Sequence[str], labels: Sequence[str]):  # type: ignore[no-untyped-def]
        return super().measure(prompts, labels).model_copy(update={"context": self._context})

    def score(
        self, prompts: Sequence[str], labels: Sequence[str], progress: Progress | None = None
    ) -> np.ndarray:
        self.asked.append(list(prompts))
        return super().score(prompts, labels, progress)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "scores.sqlite"


def prompts(*numbers: int) -> list[str]:
    return [f"Ill?\nage: {i}; patient Doe\nAnswer ill or well." for i in numbers]


def count(path: Path) -> int:
    db = sqlite3.connect(path)
    (found,) = db.execute("SELECT count(*) FROM scores").fetchone()
    db.close()
    return int(found)


def test_only_the_rest_is_scored_in_one_call(path: Path) -> None:
    backend = Counting()
    cached = ScoreCache.open(path).wrap(backend, "a" * 64)
    first = cached.score(prompts(1, 2, 1), LABELS)
    second = ScoreCache.open(path).wrap(backend, "a" * 64).score(prompts(3, 2, 4, 1, 3), LABELS)
    assert backend.asked == [prompts(1, 2), prompts(3, 4)]
    np.testing.assert_array_equal(first, FakeBackend().score(prompts(1, 2, 1), LABELS), strict=True)
    np.testing.assert_array_equal(second, FakeBackend().score(prompts(3, 2, 4, 1, 3), LABELS), strict=True)


def test_what_decides_a_row_decides_whether_it_is_known(path: Path) -> None:
    cache = ScoreCache.open(path)
    asked = 0
    for backend, sha, labels in (
        (Counting(), None, LABELS),
        (Counting(), "a" * 64, LABELS),
        (Counting(), "b" * 64, LABELS),
        (Counting("other"), None, LABELS),
        (Counting(numerics="fake/float32"), None, LABELS),
        (Counting(context=100), None, LABELS),
        (Counting(), None, LABELS[::-1]),
        (Counting(), None, (*LABELS, "unsure")),
    ):
        for _ in range(2):
            rows = cache.wrap(backend, sha).score(prompts(1), labels)
            np.testing.assert_array_equal(rows, backend.__class__.__base__.score(backend, prompts(1), labels))
        assert len(backend.asked) == 1
        asked += 1
    assert count(path) == asked


def test_another_version_of_a_library_is_another_question(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from primum import score_cache

    backend = Counting()
    ScoreCache.open(path).wrap(backend, None).score(prompts(1), LABELS)
    monkeypatch.setattr(score_cache, "_versions", lambda: {"torch": "99"})
    ScoreCache.open(path).wrap(backend, None).score(prompts(1), LABELS)
    assert len(backend.asked) == 2


class Rows(FakeBackend):
    """Answers with given rows."""

    def __init__(self, rows: dict[str, list[float]]) -> None:
        super().__init__()
        self.rows = rows

    def score(
        self, prompts: Sequence[str], labels: Sequence[str], progress: Progress | None = None
    ) -> np.ndarray:
        return np.array([self.rows[p] for p in prompts]).reshape(len(prompts), len(labels))


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5), st.lists(st.floats(width=64), min_size=2, max_size=2), min_size=1, max_size=6
    ),
    st.data(),
)
def test_rows_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, list[float]], data: st.DataObject
) -> None:
    cache = ScoreCache.open(tmp_path_factory.mktemp("c") / "scores.sqlite", most=data.draw(st.integers(1, 8)))
    backend = Rows(rows)
    for _ in range(4):
        asked = data.draw(st.lists(st.sampled_from(sorted(rows)), max_size=8))
        ours = cache.wrap(backend, None).score(asked, LABELS)
        assert ours.tobytes() == backend.score(asked, LABELS).tobytes()
        assert ours.shape == (len(asked), 2)


def test_prompts_beyond_the_context_and_odd_text(path: Path) -> None:
    odd = ["word " * 5000, "", "\ud800", "ß", "a\0b"]
    cached = ScoreCache.open(path).wrap(FakeBackend(), None)
    odd.remove("\ud800")  # the fake backend cannot hash it either
    for _ in range(2):
        np.testing.assert_array_equal(cached.score(odd, LABELS), FakeBackend().score(odd, LABELS))
    assert cached.score([], LABELS).shape == (0, 2)


def test_no_text_is_stored_and_the_file_is_the_owners(path: Path) -> None:
    ScoreCache.open(path).wrap(FakeBackend(), None).score(prompts(*range(20)), LABELS)
    for file in path.parent.iterdir():
        assert b"Doe" not in file.read_bytes()
        assert b"ill" not in file.read_bytes()
        assert file.name.endswith(".lock") or stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_oldest_are_dropped(path: Path) -> None:
    backend = Counting()
    cached = ScoreCache.open(path, most=5).wrap(backend, None)
    cached.score(prompts(1, 2, 3, 4), LABELS)
    cached.score(prompts(1, 5, 6, 7), LABELS)
    assert count(path) == 5
    cached.score(prompts(4, 5, 6, 7), LABELS)
    assert backend.asked[2:] == []
    cached.score(prompts(1, 2, 7), LABELS)
    assert backend.asked[2:] == [prompts(1, 2)]
    cached.score(prompts(*range(100, 150)), LABELS)
    assert count(path) == 5


def test_the_rest_of_the_protocol_is_the_backends_own(path: Path, tmp_path: Path) -> None:
    backend = Counting()
    cached: Backend = ScoreCache.open(path).wrap(backend, "a")
    assert (cached.base_id, cached.base_hash, cached.numerics) == (
        backend.base_id,
        backend.base_hash,
        backend.numerics,
    )
    assert cached.with_adapter(None).base_id == backend.base_id
    assert cached.measure(prompts(1), LABELS) == backend.measure(prompts(1), LABELS)
    limits = GenerationLimits()
    assert cached.generate(prompts(1), limits) == backend.generate(prompts(1), limits)


def test_progress_is_told_whether_or_not_something_is_scored(path: Path) -> None:
    said: list[tuple[str, int, int]] = []
    for _ in range(2):
        ScoreCache.open(path).wrap(FakeBackend(), None).score(
            prompts(1, 2), LABELS, lambda *step: said.append(step)
        )
    assert said == [("scoring", 2, 2)] * 2


def bare(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


@pytest.mark.parametrize("damage", ["text", "cut", "overwritten", "another format", "no table", "empty"])
def test_a_damaged_file_is_replaced_with_a_note(
    path: Path, capfd: pytest.CaptureFixture[str], damage: str
) -> None:
    backend = Counting()
    ScoreCache.open(path).wrap(backend, None).score(prompts(*range(200)), LABELS)
    bare(path)
    if damage in ("another format", "no table"):
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version = 99" if damage == "another format" else "DROP TABLE scores")
        db.commit()
        db.close()
    elif damage == "overwritten":
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xff" * (len(content) - 4096)
        path.write_bytes(content)
    elif damage == "cut":
        os.truncate(path, 5000)
    else:
        path.write_bytes(b"not a database, certainly" * 9 if damage == "text" else b"")
    capfd.readouterr()
    for _ in range(2):
        rows = ScoreCache.open(path).wrap(backend, None).score(prompts(1, 2, 3), LABELS)
        np.testing.assert_array_equal(rows, FakeBackend().score(prompts(1, 2, 3), LABELS))
    assert backend.asked[1:] == [prompts(1, 2, 3)]
    note = capfd.readouterr().err
    assert note.count("was damaged and begins anew; it costs time only\n") == (damage != "empty")
    assert count(path) == 3


def test_a_flipped_bit_in_a_row_is_not_believed(path: Path) -> None:
    backend = Counting()
    ScoreCache.open(path).wrap(backend, None).score(prompts(1, 2), LABELS)
    db = sqlite3.connect(path)
    (row,) = db.execute("SELECT row FROM scores WHERE id = 1").fetchone()
    db.execute("UPDATE scores SET row = ? WHERE id = 1", (bytes([row[0] ^ 1]) + row[1:],))
    db.commit()
    db.close()
    for _ in range(2):
        rows = ScoreCache.open(path).wrap(backend, None).score(prompts(1, 2), LABELS)
        np.testing.assert_array_equal(rows, FakeBackend().score(prompts(1, 2), LABELS))
    assert backend.asked[1:] == [prompts(1)]


def test_another_programs_file_and_a_folder_are_left_alone(
    path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE looks (id)")
    db.commit()
    db.close()
    before = path.read_bytes()
    (tmp_path / "file").write_text("x")
    for place in (path, tmp_path, tmp_path / "file" / "scores.sqlite"):
        rows = ScoreCache.open(place).wrap(FakeBackend(), None).score(prompts(1), LABELS)
        np.testing.assert_array_equal(rows, FakeBackend().score(prompts(1), LABELS))
        assert "cannot be used" in capfd.readouterr().err
    assert path.read_bytes() == before


PROCESS = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    import numpy as np
    sys.path.insert(0, {here!r})
    from test_score_cache import LABELS, FakeBackend, ScoreCache, prompts

    path, first, end = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    print("ready", flush=True)
    sys.stdin.readline()
    for i in range(first, first + 60):
        part = prompts(*range(i, i + 20))
        rows = ScoreCache.open(path).wrap(FakeBackend(), None).score(part, LABELS)
        assert np.array_equal(rows, FakeBackend().score(part, LABELS))
        if i == first + 30 and end == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    """
)


def test_several_processes_at_once_and_one_that_is_killed(path: Path) -> None:
    code = PROCESS.format(here=str(Path(__file__).parent))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(10 * i), end],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i, end in enumerate(("end", "kill", "end"))
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:  # all begin with no file at the same time
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [process.communicate() for process in started]
    assert [p.returncode for p in started] == [0, -signal.SIGKILL, 0], ends
    assert [error for _, error in ends] == ["", "", ""]
    backend = Counting()
    ScoreCache.open(path).wrap(backend, None).score(prompts(*range(99)), LABELS)
    assert backend.asked == []
    assert count(path) == 99


def test_a_kill_in_the_middle_of_a_transaction_leaves_a_whole_file(path: Path) -> None:
    code = textwrap.dedent(
        f"""
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from primum import score_cache
        from test_score_cache import LABELS, FakeBackend, prompts
        cache = score_cache.ScoreCache.open(Path({str(path)!r}))
        cache.wrap(FakeBackend(), None).score(prompts(1, 2), LABELS)
        honest, seen = score_cache._checksum, []
        def dying(key, row):
            seen.append(key)
            if len(seen) == 50:
                os.kill(os.getpid(), signal.SIGKILL)
            return honest(key, row)
        score_cache._checksum = dying
        cache.wrap(FakeBackend(), None).score(prompts(*range(10, 100)), LABELS)
        """
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    backend = Counting()
    cached = ScoreCache.open(path).wrap(backend, None)
    np.testing.assert_array_equal(
        cached.score(prompts(1, 2, 10), LABELS), FakeBackend().score(prompts(1, 2, 10), LABELS)
    )
    assert backend.asked == [prompts(10)]
