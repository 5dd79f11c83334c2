"""An append-only file of events, one JSON object a line, that any number of processes share.

Every change happens under an exclusive `flock`: the kernel lets go of it when its holder dies, so no stale lock is ever
left. A line counts once its newline is written. A process that was killed, or a disk that was full, in the middle of a
line leaves a torn tail, which the next holder of the lock cuts off. (On network file systems flock must be switched on:
it is on NFS under Linux, and on Lustre with the mount option `flock`.)
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nerf2mesh.utils.locks import exclusive
from nerf2mesh.utils.regular_file import open_regular

Event = dict[str, Any]
"""Plain JSON."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class EventLog:
    """`folder/events.jsonl` and its lock. Use `with log.locked() as new:`; `new` are the events not seen before."""

    def __init__(self, folder: Path | str) -> None:
        self.path = Path(folder) / "events.jsonl"
        self._lock_path = Path(folder) / "events.lock"
        self._offset = 0
        self._file: int | None = None

    @contextmanager
    def locked(self) -> Iterator[list[Event]]:
        """Alone with the file for the duration; what others wrote since the last time is read first."""
        assert self._file is None, "the log's lock is not reentrant"
        lock = open_regular(self._lock_path, os.O_RDWR | os.O_CREAT, alone=True)
        try:
            exclusive(lock)
            self._file = open_regular(self.path, os.O_RDWR | os.O_CREAT, alone=True)
            yield self._read_new(self._file)
        finally:
            if self._file is not None:
                os.close(self._file)
                self._file = None
            os.close(lock)

    def append(self, events: Sequence[Mapping[str, object]]) -> None:
        """Adds events, all or none, and waits until they are on the disk. Only while the lock is held.

        OSError: the system's own, such as a full disk; the file is then as before.
        """
        assert self._file is not None, "append is called with the lock held"
        data = "".join(json.dumps(event, allow_nan=False) + "\n" for event in events).encode()
        try:
            write_all(self._file, data, self._offset)
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._offset)
            raise
        self._offset += len(data)

    def _read_new(self, file: int) -> list[Event]:
        """Complete lines after what was read before; a torn tail is cut off."""
        size = os.fstat(file).st_size
        if size < self._offset:
            raise ValueError(
                f"{self.path}: expected a file that only grows, got a shorter one; restore it, or start in a new folder"
            )
        data = read_all(file, self._offset, size)
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.ftruncate(file, self._offset + len(whole))
        self._offset += len(whole)
        return [self._parsed(line) for line in whole.splitlines()]

    def _parsed(self, line: bytes) -> Event:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self.damaged(line[:60].decode(errors="replace")) from error
        if not isinstance(event, dict):
            raise self.damaged(line[:60].decode(errors="replace"))
        return event

    def damaged(self, shown: object) -> ValueError:
        """The error for a line that no version of this program has written."""
        return ValueError(
            f"{self.path}: expected lines of JSON that say what became of the jobs, got {shown!r}; restore the file, "
            "or remove it: the results that are whole are found again"
        )


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Every byte at `offset`, or an OSError: the system may write less than asked, as when the disk fills up."""
    while data:
        count = os.pwrite(descriptor, data, offset)
        data, offset = data[count:], offset + count


def read_all(descriptor: int, start: int, end: int) -> bytes:
    """The bytes from `start` to `end`; fewer where the file ends before."""
    parts = []
    while start < end:
        part = os.pread(descriptor, end - start, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)
