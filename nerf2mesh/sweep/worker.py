"""A worker: takes one job after the other from a queue until none is left for it.

    python -P -m nerf2mesh.sweep.worker FOLDER MODULE:FUNCTION

FUNCTION(payload, context) returns the job's result as plain JSON. The folder never names code to run: what is run is
said by whoever starts the worker.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from nerf2mesh.run.preemption import REQUEUE, Preempted, Signals, listening, stoppable
from nerf2mesh.sweep.event_log import NO_SPACE
from nerf2mesh.sweep.heartbeat import Heartbeat, Watch, new_name
from nerf2mesh.sweep.queue import Claim, Payload, Queue
from nerf2mesh.utils.atomic_write import atomic_write_text
from nerf2mesh.utils.locks import InUse
from nerf2mesh.utils.names import printable
from nerf2mesh.utils.regular_file import read_json
from nerf2mesh.utils.without_paths import without_paths

REFUSED = 2
"""Exit code of a worker that met what only the user can put right; it is not started again."""


@dataclass(kw_only=True)
class Rules:
    """What all workers of a queue keep to; stored as FOLDER/rules.json by whoever starts the sweep."""

    retries: int = 1
    """How often a job that raised is tried again."""
    max_losses: int = 20
    """A job that took so many workers with it is given up."""
    beat_s: float = 2.0
    lease_s: float = 60.0
    """A worker that gave no sign for so long is taken for dead; its job goes to another."""
    linger_s: float = 120.0
    """A worker with nothing to do stays so long, should a job come back; then it leaves its place to others."""

    def save(self, folder: Path) -> None:
        """Writes rules.json into the queue's folder."""
        atomic_write_text(folder / "rules.json", json.dumps(asdict(self)) + "\n")

    @staticmethod
    def load(folder: Path) -> Rules:
        """The rules of a queue's folder; the defaults where none were saved."""
        path = folder / "rules.json"
        values = read_json(path, asdict(Rules()))
        try:
            rules = Rules(**values)
            if all(isinstance(value, int | float) for value in values.values()):
                return replace(rules, retries=int(rules.retries), max_losses=int(rules.max_losses))
        except (TypeError, ValueError, OverflowError):
            pass
        raise ValueError(f"{path}: expected the rules of a sweep of this version, got others; remove the file")

    def open(self, folder: Path) -> Queue:
        """The queue in `folder`, with the limits of these rules."""
        return Queue(folder, retries=self.retries, max_losses=self.max_losses)


@dataclass(frozen=True)
class Context:
    """What a job may use: its own folder, kept over attempts, and a word for the live summary."""

    folder: Path
    attempt: int
    say: Callable[[str], None]


JobFunction = Callable[[Payload, Context], Payload]


def work(folder: Path | str, function: JobFunction) -> int:
    """Runs jobs until none is left for this worker; the exit code: 0, or 75 when it was asked to stop.

    OSError (a full disk) and ValueError (a torn queue) come through: the worker ends, and its job waits for another.
    """
    folder = Path(folder)
    rules, name = Rules.load(folder), new_name()
    queue, watch = rules.open(folder), Watch(folder, rules.lease_s)
    heartbeat = Heartbeat(folder, name, rules.beat_s)
    idle_since = time.monotonic()
    with listening() as signals, heartbeat.beating():
        while signals.received is None:
            claim = queue.claim(name)
            if claim is not None:
                heartbeat.say(claim.job)
                _run(queue, claim, name, function, heartbeat)
                idle_since = time.monotonic()
            elif queue.counts()["running"] == 0 or time.monotonic() - idle_since > rules.linger_s:
                return 0
            elif not queue.reap(watch.is_dead):
                time.sleep(min(1.0, rules.beat_s))
        previous = _scheduler_handler(signals)
    if previous is not None:
        previous()
    return REQUEUE


def _run(queue: Queue, claim: Claim, name: str, function: JobFunction, heartbeat: Heartbeat) -> None:
    """One job, and what is said of it afterwards. A polite stop is noticed by the caller, by its signal."""
    folder = queue.folder / "runs" / claim.job
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    context = Context(folder, claim.attempt, lambda words: heartbeat.say(f"{claim.job}: {words}"))
    try:
        with stoppable():
            result = function(claim.payload, context)
        queue.finish(claim, name, result, time.monotonic() - started)
    except Preempted as stop:
        queue.release(claim, name, stop.why)
    except InUse as busy:
        queue.release(claim, name, str(busy))
        time.sleep(1.0)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            with contextlib.suppress(OSError):  # there may still be room for a line
                queue.release(claim, name, "no space is left")
            raise
        traceback.print_exc(file=sys.stderr)
        queue.fail(claim, name, without_paths(f"{type(error).__name__}: {' '.join(str(error).split())}"))


def _scheduler_handler(signals: Signals) -> Callable[[], object] | None:
    """submitit's own handler of the signal that arrived, if it has one: it puts the job back into SLURM's queue."""
    if signals.received is None:
        return None
    handler = signals.previous.get(signals.received)
    owner = getattr(handler, "__module__", None) or getattr(getattr(handler, "__self__", None), "__module__", "")
    if not callable(handler) or not str(owner).startswith("submitit"):
        return None
    number = signals.received
    return lambda: handler(number, None)


def load_function(name: str) -> JobFunction:
    """The function behind MODULE:FUNCTION."""
    module, colon, function = name.partition(":")
    if not colon:
        raise ValueError(f"job: expected MODULE:FUNCTION, got {name!r}; put a colon between them")
    return getattr(importlib.import_module(module), function)


def main() -> None:
    """The command line of a worker; exit code 2 for an error that only the user can put right."""
    _, folder, function = sys.argv
    try:
        sys.exit(work(folder, load_function(function)))
    except (ValueError, OSError) as error:
        print(f"error: {printable(refusal(error))}", file=sys.stderr)
        sys.exit(REFUSED)


def refusal(error: Exception) -> str:
    """One line for what the user can put right."""
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        where = error.filename or "the sweep's folder"
        return f"no space is left for {where}; free some, then give the same command again: it goes on"
    return " ".join(str(error).split())


if __name__ == "__main__":
    main()
