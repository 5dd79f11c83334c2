"""Standard streams whose reader may leave: `nerf2mesh ... | head -1` shortens what is shown, not what is done."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO, cast


class UntilClosed:
    """A text stream that is silent from the moment on at which nobody reads it any more.

    Raises:
        OSError: once, any other refusal, such as a full disk; `filename` is then the stream's name.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name

    def write(self, text: str) -> int:
        """Writes `text`, or nothing where nobody reads; its length."""
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Hands on what is still buffered."""
        self._try(self._stream.flush)

    def _try(self, act: Any, *arguments: str) -> None:
        try:
            act(*arguments)
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)  # for what is still buffered, and for all that follows
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise OSError(error.errno, error.strerror, self._name) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def outlive_readers() -> None:
    """Standard output and error become `UntilClosed`; one that the caller closed is opened onto nothing.

    Otherwise the next file that is opened would get its number, and what libraries print would land in that file.
    """
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        stream = getattr(sys, name)
        if stream is None:
            stream = open(number, "r" if number == 0 else "w", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        if number and not isinstance(stream, UntilClosed):
            setattr(sys, name, cast(TextIO, UntilClosed(stream, f"standard {'output' if number == 1 else 'error'}")))
