"""One process at a time in a folder. The kernel lets go of a lock when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InUse(ValueError):
    """Another process works in the folder."""


def exclusive(descriptor: int, *, wait: bool = True) -> bool:
    """Takes the lock of an open file; without `wait`, False where another process has it.

    True without a lock where the system has none (Windows; network file systems mounted without them).
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        import errno

        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
    return True


@contextmanager
def alone_in(folder: Path | str | None) -> Iterator[None]:
    """Nobody else is in `folder` for the duration (None: no folder, nothing to do). InUse where somebody is."""
    if folder is None:
        yield
        return
    folder = Path(folder)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a folder that cannot be written is refused by whoever writes to it
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
            stack.callback(os.close, descriptor)
            if not exclusive(descriptor, wait=False):
                owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
                raise InUse(
                    f"output_dir: {folder} is in use by another process ({owner}); "
                    "wait for it, stop it, or choose another output_dir"
                )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
