"""The errors that Primum raises on purpose, and the exit code each one ends in."""


class PrimumError(Exception):
    """Something that this program could not do; the message is one line that a person can act on."""

    exit_code = 1


class BadInput(PrimumError):  # noqa: N818 - reads as the sentence it stands in
    """What the user gave cannot be used: the message says what is wrong, where, and how to mend it.

    Never put patient text or a cell's value of a free-text column into the message.
    """

    exit_code = 2


class Unavailable(PrimumError):  # noqa: N818
    """A store, a remote, a disk or a device that the run needs does not answer; nothing was half-written.

    The mend lies with the user, as with bad input, and so does the exit code.
    """

    exit_code = 2


class Tampered(PrimumError):  # noqa: N818
    """Stored evidence or a bundle does not match its hash; it is refused."""
