"""Files that are complete or absent: written to NAME.part beside NAME, flushed to disk and renamed.

A process killed at any moment leaves the old file or the new one. The data reach the disk before the rename, and the
folder's entry after it, so that this also holds when the machine loses power (where the file system keeps fsync).

Links are never followed: what stands under either name is removed or replaced itself, and the file that a link points
to stays as it is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nerf2mesh.utils.regular_file import NO_FOLLOW, open_regular

SUFFIX = ".part"
"""Of the file that is being written. A leftover of a killed process is removed by the next one."""


@contextmanager
def atomic_write(path: str | Path, *, concurrent: bool = False) -> Iterator[Path]:
    """The path to write to; renamed to `path` when the block ends, removed when it raises.

        with atomic_write("scores.npz") as part, part.open("wb") as stream:
            numpy.savez(stream, **arrays)

    Args:
        path: of the finished file. Its folder is created where it is missing.
        concurrent: True where several processes may write the same file at once: each then has a part of its own,
            NAME.PID.part, and the last to finish wins.

    Raises:
        OSError: what the file system refuses; `path` is then as it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    own = f".{os.getpid()}" if concurrent else ""
    part = path.with_name(f"{path.name}{own}{SUFFIX}")
    part.unlink(missing_ok=True)
    try:
        yield part
        _flush(part, os.O_RDWR | NO_FOLLOW)
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    flush_folder(path.parent)


def atomic_write_bytes(path: str | Path, data: bytes, *, concurrent: bool = False) -> Path:
    """`data` as the whole file; arguments and errors as in `atomic_write`. Returns the path."""
    with atomic_write(path, concurrent=concurrent) as part, open(create_new(part), "wb") as stream:
        stream.write(data)
    return Path(path)


def atomic_write_text(path: str | Path, text: str, *, concurrent: bool = False) -> Path:
    """`text` in UTF-8 as the whole file; arguments and errors as in `atomic_write`. Returns the path."""
    return atomic_write_bytes(path, text.encode("utf-8"), concurrent=concurrent)


def append_text(path: str | Path, text: str) -> None:
    """Adds `text` in UTF-8 to a file of lines, which is made where it is missing.

    Raises:
        ValueError: a link, or anything else that is no file of its own, stands there.
    """
    descriptor = open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, alone=True)
    with open(descriptor, "ab") as stream:
        stream.write(text.encode("utf-8"))


def create_new(path: str | Path) -> int:
    """A descriptor to write to of a file that was not there before; FileExistsError where anything is, links too."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o666)


def flush_folder(folder: Path) -> None:
    """Waits until the folder's entries are on disk, where its file system can say so."""
    # Not every file system (nor Windows) lets a folder be opened or flushed; the files themselves are safe by now.
    with contextlib.suppress(OSError):
        _flush(folder, os.O_RDONLY)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
