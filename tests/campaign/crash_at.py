"""Runs a command whose process ends, or whose disk is full, at the n-th open for writing, fsync or rename.

    python -m tests.campaign.crash_at KIND N CODE        KIND: open, fsync, rename, full, nothing

CODE is Python, run in this process. The functions of `os` are replaced before anything of the package is loaded; what
Python itself opens passes an audit hook. "nothing" counts: it prints how many moments there are.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Moments:
    """Counts the moments of each kind, and acts at the chosen one."""

    def __init__(self, kind: str, number: int) -> None:
        self.kind, self.number, self.seen = kind, number, dict.fromkeys(("open", "fsync", "rename"), 0)

    def at(self, kind: str) -> None:
        """One moment has come; it may be the last."""
        self.seen[kind] += 1
        if self.kind == kind and self.seen[kind] == self.number:
            os._exit(137)
        if self.kind == "full" and kind == "open" and self.seen[kind] >= self.number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def wrapped(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function of `os`, with the moment before it."""

        def act(*arguments: Any, **options: Any) -> Any:
            self.at(kind)
            return function(*arguments, **options)

        return act

    def heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The audit hook: files that are opened to be written, by whomever in this process."""
        if (
            event == "open"
            and isinstance(arguments[2], int)
            and arguments[2] & WRITING
            and "/dev/" not in str(arguments[0])
        ):
            self.at("open")


def main() -> None:
    """See the module's text."""
    kind, number, code = sys.argv[1:]
    moments = Moments(kind, int(number))
    os.fsync = moments.wrapped("fsync", os.fsync)
    os.replace = moments.wrapped("rename", os.replace)
    os.rename = moments.wrapped("rename", os.rename)
    sys.addaudithook(moments.heard)
    sys.argv = ["nerf2mesh"]
    try:
        exec(compile(code, "command", "exec"), {"__name__": "__main__"})
    finally:
        if kind == "nothing":
            print("moments", moments.seen["open"], moments.seen["fsync"], moments.seen["rename"])


if __name__ == "__main__":
    main()
