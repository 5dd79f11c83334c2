"""Starts workers until every job of a queue is done or given up, and prints the state of the sweep meanwhile."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from nerf2mesh.sweep.heartbeat import Watch
from nerf2mesh.sweep.launchers import Launcher
from nerf2mesh.sweep.queue import Queue
from nerf2mesh.utils.atomic_write import atomic_write_text
from nerf2mesh.utils.regular_file import read_regular

HOPELESS_STARTS = 12
"""So many workers in a row that ended without a single event of theirs: something is wrong with all of them."""


def supervise(
    queue: Queue,
    launcher: Launcher,
    workers: int,
    *,
    lease_s: float = 60.0,
    poll_s: float = 1.0,
    say_every_s: float = 10.0,
    out: TextIO | None = None,
) -> None:
    """Blocks until the queue is over. Workers that died are replaced, their jobs handed on.

    ValueError: what a worker could not do (a full disk, a torn file), or that no worker gets anywhere.
    """
    out, watch = sys.stderr if out is None else out, Watch(queue.folder, lease_s)
    said, started_s, idle_starts, before = -say_every_s, time.monotonic(), 0, -1
    try:
        while True:
            alive = launcher.alive()
            queue.reap(watch.is_dead)
            if queue.is_over():
                return
            if launcher.refusal():
                raise ValueError(
                    f"experiments: expected workers that can go on, got one that stopped: {launcher.refusal()}"
                )
            progress = sum(s.attempt for s in queue.jobs.values()) + queue.counts()["done"]
            idle_starts, before = (0, progress) if progress != before else (idle_starts, before)
            counts = queue.counts()
            missing = min(workers, counts["waiting"] + counts["running"]) - alive
            if missing > 0:
                idle_starts += missing
                if idle_starts > HOPELESS_STARTS + workers:
                    raise ValueError(
                        f"workers: expected ones that take jobs, got {idle_starts - missing} that ended without one; "
                        f"read {queue.folder / 'logs'}"
                    )
                launcher.start(missing)
            if time.monotonic() - said >= say_every_s:
                said = time.monotonic()
                print(status_line(queue, watch.read, said - started_s), file=out, flush=True)
            time.sleep(poll_s)
    finally:
        launcher.stop()


def status_line(queue: Queue, read: Callable[[str], dict[str, Any] | None], elapsed_s: float) -> str:
    """One line: counts, what the workers say, and when it may be over."""
    counts, states = queue.counts(), queue.jobs.values()
    words = [f"{n} {status}" for status, n in counts.items() if n or status == "done"]
    losses = sum(s.losses for s in states)
    words += [f"{losses} workers lost"] if losses else []
    running = {s.worker: job for job, s in queue.jobs.items() if s.status == "running"}
    spoken = [_said(queue.folder, job, read(worker)) for worker, job in running.items()]
    left = seconds_left(queue) / max(1, len(running))
    if running and left < math.inf:
        words.append(f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left")
    return f"[{elapsed_s:6.0f} s] " + ", ".join(words) + "".join(f"\n    {s}" for s in spoken if s)


def seconds_left(queue: Queue) -> float:
    """What the unfinished jobs take one after the other, each kind as long as its finished ones did; inf: not known."""
    seconds: dict[object, list[float]] = {}
    for job, state in queue.jobs.items():
        if state.status == "done" and state.seconds:
            seconds.setdefault(queue.payloads[job].get("kind"), []).append(state.seconds)
    left = 0.0
    for job, state in queue.jobs.items():
        if state.status in ("waiting", "running"):
            known = seconds.get(queue.payloads[job].get("kind"))
            left += (sum(known) / len(known) if known else math.inf) * (0.5 if state.status == "running" else 1.0)
    return left


def _said(folder: Path, job: str, beat: dict[str, Any] | None) -> str:
    """What a worker does, and how far its run has come where it is one (the last line of its numbers)."""
    words, path = str((beat or {}).get("said", "") or job), folder / "runs" / job / "run" / "metrics.jsonl"
    try:
        steps = re.findall(rb'"step": (\d+)', read_regular(path))
    except (OSError, ValueError):
        steps = []
    return f"{words}, step {int(steps[-1])}" if steps else words


def summary(queue: Queue) -> str:
    """What happened to every job, as Markdown: the total first, then each job whose way was not straight."""
    queue.refresh()
    counts, states = queue.counts(), queue.jobs
    lost, failed = (sum(getattr(s, name) for s in states.values()) for name in ("losses", "failures"))
    seconds = sum(s.seconds for s in states.values())
    lines = [
        f"{len(states)} jobs: " + ", ".join(f"{n} {status}" for status, n in counts.items() if n or status == "done"),
        f"{sum(s.attempt for s in states.values())} attempts, {lost} ended by a worker's death, {failed} by an error; "
        f"{seconds:.0f} s in jobs that were done",
        *queue.notes,
    ]
    eventful = [(job, s) for job, s in states.items() if s.history]
    if eventful:
        lines += ["", "Not straight to the end:"]
    for job, state in eventful:
        lines += [f"- {job}: {state.status} at attempt {state.attempt}", *(f"  - {event}" for event in state.history)]
    return "\n".join(lines) + "\n"


def write_summary(queue: Queue) -> Path:
    """Writes `summary` as summary.md in the queue's folder, and returns its path."""
    path = queue.folder / "summary.md"
    return atomic_write_text(path, summary(queue))
