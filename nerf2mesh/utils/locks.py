"""One process at a time in a folder. The kernel lets go of a lock when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nerf2mesh.utils.regular_file import open_regular


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
    """Nobody else is in `folder` for the duration (None: no folder, nothing to do).

    Raises:
        InUse: another process is.
        ValueError: its .lock is a link, no file of its own, or closed to this user.
    """
    if folder is None:
        yield
        return
    folder = Path(folder)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a folder that cannot be written is refused by whoever writes to it
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = _open_lock(folder / ".lock")
            stack.callback(os.close, descriptor)
            if not exclusive(descriptor, wait=False):
                owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
                owner = owner if owner.isdigit() else "unknown"
                raise InUse(
                    f"output_dir: {folder} is in use by another process ({owner}); "
                    "wait for it, stop it, or choose another output_dir"
                )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield


def _open_lock(path: Path) -> int:
    """A descriptor to lock; another user's file can be locked without the right to write to it."""
    try:
        return open_regular(path, os.O_RDWR | os.O_CREAT, alone=True)
    except PermissionError:
        if not path.exists():
            raise
    try:
        return open_regular(path)
    except PermissionError as error:
        raise ValueError(
            f"output_dir: expected a lock that this user may read, got {path} of another user; remove it when no "
            "process works there, or choose another output_dir"
        ) from error
