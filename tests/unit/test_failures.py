"""How commands end."""

from __future__ import annotations

import errno

import pytest

from primum.errors import BadInput, Tampered, Unavailable
from primum.failures import explain, failing_softly


@pytest.mark.parametrize(
    ("error", "code"),
    [(BadInput("a"), 2), (Unavailable("b"), 2), (Tampered("c"), 1), (KeyboardInterrupt(), 130)],
)
def test_every_expected_error_is_one_line_and_a_code(
    error: BaseException, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with failing_softly() as ending:
        raise error
    assert ending.code == code
    assert capfd.readouterr().err.count("\n") <= 1


def test_a_wrapped_error_is_found() -> None:
    wrapped = RuntimeError("step failed")
    wrapped.__cause__ = BadInput("row 3")
    assert explain(wrapped) == ("row 3", 2)


def test_a_full_disk_is_said_in_words() -> None:
    message, code = explain(OSError(errno.ENOSPC, "No space left on device"))
    assert (message.startswith("the disk is full"), code) == (True, 2)


def test_an_unexpected_error_shows_no_message_that_could_quote_a_record() -> None:
    try:
        raise ValueError("patient Jane Doe")
    except ValueError as error:
        message, code = explain(error)
    assert code == 1
    assert "Jane" not in message
    assert "ValueError" in message


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIMUM_DEBUG", "1")
    with pytest.raises(ValueError, match="x"), failing_softly():
        raise ValueError("x")
