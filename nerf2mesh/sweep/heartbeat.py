"""Which workers are alive, without comparing clocks.

A worker writes a growing number into its own file. A watcher reads the file again and again, and takes the worker for
dead when the number has stood still for `lease_s` of the watcher's own monotonic clock. The clocks of two machines are
never compared, and a wall clock that jumps (summer time, NTP, a virtual machine resumed) changes nothing. On the same
machine a process that has ended is recognized at once by its number and start time.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nerf2mesh.utils.regular_file import open_regular, read_regular

SIZE_BYTES = 512
"""A beat overwrites the file in place: on a full disk it needs no new block."""


def new_name() -> str:
    """A worker's name: SLURM job if it is one, process, and twelve digits, so that no two workers share one. The
    machine is not named: a sweep's folder may be handed on, and SLURM's accounting knows the node of a job."""
    words = [os.environ.get("SLURM_JOB_ID", ""), str(os.getpid()), uuid.uuid4().hex[:12]]
    return re.sub(r"[^A-Za-z0-9_-]", "_", "-".join(["worker", *filter(None, words)]))


class Heartbeat:
    """Beats in a thread of its own while the `beating` block runs; `say` puts a word into the live summary."""

    def __init__(self, folder: Path, name: str, beat_s: float) -> None:
        self.path = folder / "workers" / name
        self._beat_s, self._count, self._said = beat_s, 0, ""
        self._stop = threading.Event()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Inside the block a thread writes beats; afterwards the worker's file is removed.

        A worker that ends with an error may leave a job that it could not hand back (the disk is full): its last beat
        then says that it has ended, so that nobody waits for it.
        """
        self._beat()
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        failed = True
        try:
            yield
            failed = False
        finally:
            self._stop.set()
            thread.join()
            with contextlib.suppress(OSError):
                self._beat(ended=True) if failed else self.path.unlink(missing_ok=True)

    def say(self, words: str) -> None:
        """Sets the words that the live summary shows for this worker."""
        self._said = words[:200]

    def _run(self) -> None:
        while not self._stop.wait(self._beat_s):
            with contextlib.suppress(
                OSError, ValueError
            ):  # a beat that cannot be written is one missed; the next may do
                self._beat()

    def _beat(self, *, ended: bool = False) -> None:
        self._count += 1
        body = {"beat": self._count, "ended": ended, "time": time.time(), **process_facts(os.getpid())}
        body["said"] = self._said
        line = json.dumps(body).encode()[: SIZE_BYTES - 1].ljust(SIZE_BYTES - 1) + b"\n"
        file = open_regular(self.path, os.O_WRONLY | os.O_CREAT, alone=True)
        try:
            os.pwrite(file, line, 0)
        finally:
            os.close(file)


class Watch:
    """Looks at workers' files; `is_dead` is asked again and again about those that hold jobs."""

    def __init__(self, folder: Path, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._lease_s, self._clock = folder / "workers", lease_s, clock
        self._seen: dict[str, tuple[object, float]] = {}

    def is_dead(self, worker: str) -> bool:
        """Whether the worker's process has ended, or its beat has stood still for longer than the lease."""
        body, now = self.read(worker), self._clock()
        if body is not None and (body.get("ended") is True or _is_gone(body)):
            return True
        beat = None if body is None else body.get("beat")
        if worker not in self._seen or self._seen[worker][0] != beat:
            self._seen[worker] = (beat, now)
            return False
        return now - self._seen[worker][1] > self._lease_s

    def read(self, worker: str) -> dict[str, Any] | None:
        """The last beat; None without one, or while it is being written."""
        try:
            body = json.loads(read_regular(self._folder / worker, limit_bytes=64 * SIZE_BYTES).decode("utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None


def process_facts(pid: int) -> dict[str, Any]:
    """What names a process of this machine for good: boot, process namespace, number and start time (Linux)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        space = os.readlink("/proc/self/ns/pid")
        start = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return {"pid": pid}
    return {"pid": pid, "place": f"{boot} {space}", "start": start}


def _is_gone(body: dict[str, Any]) -> bool:
    """Whether the process of a beat has ended; False where this machine cannot tell."""
    pid = body.get("pid")
    if not isinstance(pid, int) or "place" not in body or process_facts(os.getpid()).get("place") != body["place"]:
        return False
    if process_facts(pid).get("start") != body.get("start"):
        return True
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True
