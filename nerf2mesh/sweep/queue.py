"""A queue of jobs in a folder: who runs what, what is done, what must be done again.

folder/jobs.json         the jobs: id -> payload (plain JSON); it may grow, a job never changes
folder/events.jsonl      claim, done, failed, lost, released, added, cancelled: see `states`
folder/results/ID.json   what a job returned, with a digest, written whole before its `done`
folder/workers/NAME      heartbeats
folder/runs/ID/          where a job keeps its own files

A job is waiting, running, done or failed. It is done once: a second result of a job is refused, whoever brings it. A
job whose worker died waits again, with its run folder as it was. A job that raised is tried again `retries` times, one
that took `max_losses` workers with it is given up; both then count as failed, and are never left out.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerf2mesh.sweep.event_log import Event, EventLog
from nerf2mesh.sweep.states import JobState
from nerf2mesh.utils.atomic_write import atomic_write_text
from nerf2mesh.utils.names import checked_name
from nerf2mesh.utils.regular_file import read_regular

Payload = dict[str, Any]
"""Plain JSON."""
RESULT = ("job", "attempt", "worker", "result")
MAX_RESULT_BYTES = 1 << 30


@dataclass(frozen=True)
class Claim:
    """A job handed to a worker."""

    job: str
    payload: Payload
    attempt: int


class Queue:
    """The queue in `folder`; any number of processes may hold one."""

    def __init__(self, folder: Path | str, *, retries: int = 1, max_losses: int = 20) -> None:
        self.folder = Path(folder).resolve()
        self.retries, self.max_losses = retries, max_losses
        if not (self.folder / "jobs.json").is_file():
            raise ValueError(f"queue: expected a folder with jobs.json, got {self.folder}; start the sweep there first")
        self.payloads = _read_jobs(self.folder / "jobs.json")
        self.jobs = {job: JobState() for job in self.payloads}
        self._log = EventLog(self.folder)
        self.notes: list[str] = []

    @staticmethod
    def create(folder: Path | str, payloads: Mapping[str, Payload], **limits: int) -> Queue:
        """A queue with these jobs; jobs that the folder already holds are kept, with all that became of them."""
        folder = Path(folder)
        for name in ("results", "workers", "runs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        path = folder / "jobs.json"
        for job in payloads:
            checked_name(job, "job")
        with EventLog(folder).locked():
            before = _read_jobs(path) if path.is_file() else {}
            changed = [job for job in payloads if job in before and before[job] != payloads[job]]
            if changed:
                raise ValueError(
                    f"queue: expected the job {changed[0]} as {folder} holds it, got another; choose another output_dir"
                )
            atomic_write_text(path, json.dumps({**before, **payloads}, indent=1) + "\n")
        return Queue(folder, **limits)

    def claim(self, worker: str) -> Claim | None:
        """The next waiting job for this worker; None where none waits (some may still be running).

        Fresh jobs come first, those that failed or lost workers last. A job whose result is already on the disk (its
        worker died before it could say so) is done without another run.
        """
        with self._log.locked() as new:
            self._fold(new)
            waiting = [job for job, state in self.jobs.items() if state.status == "waiting"]
            for job in sorted(waiting, key=lambda j: self.jobs[j].failures + self.jobs[j].losses):
                state = self.jobs[job]
                if self.result(job) is not None:
                    self._append({"event": "done", "job": job, "worker": worker, "found": True})
                    continue
                attempt = state.attempt + 1
                self._append({"event": "claim", "job": job, "attempt": attempt, "worker": worker})
                return Claim(job, self.payloads[job], attempt)
        return None

    def finish(self, claim: Claim, worker: str, result: Payload, seconds: float = 0.0) -> bool:
        """Keeps the result and marks the job done; False where it was done before: the first result stays.

        OSError where it cannot be written; the job is then not done.
        """
        with self._log.locked() as new:
            self._fold(new)
            if self.jobs[claim.job].status == "done":
                return False
            body = {"job": claim.job, "attempt": claim.attempt, "worker": worker, "result": result}
            write_result(self._result_path(claim.job), body)
            done = {"event": "done", "job": claim.job, "attempt": claim.attempt, "worker": worker}
            self._append(done | {"seconds": round(seconds, 3)})
            return True

    def fail(self, claim: Claim, worker: str, why: str) -> None:
        """The job raised; it waits again while retries are left."""
        self._leave(claim, {"event": "failed", "worker": worker, "why": why[:500]})

    def release(self, claim: Claim, worker: str, why: str) -> None:
        """Hands a job back unfinished and blameless: preempted, or its run folder is in use."""
        self._leave(claim, {"event": "released", "worker": worker, "why": why[:500]})

    def add(self, payloads: Mapping[str, Payload]) -> None:
        """More jobs, on the disk when this returns; workers that are at work learn of them by their event.

        ValueError where a job of that name is there. OSError where it cannot be written; nothing is then added.
        """
        for job in payloads:
            checked_name(job, "job")
        with self._log.locked() as new:
            self._fold(new)
            path = self.folder / "jobs.json"
            before = _read_jobs(path)
            for job in payloads:
                if job in before:
                    raise ValueError(f"queue: expected a new job, got {job}, which is there; give it another name")
            atomic_write_text(path, json.dumps({**before, **payloads}, indent=1) + "\n")
            for job in payloads:
                self._append({"event": "added", "job": job})

    def cancel(self, job: str, why: str) -> bool:
        """Gives up a job that waits; False where it runs (its worker has to be stopped first) or is over."""
        with self._log.locked() as new:
            self._fold(new)
            if self.jobs[job].status != "waiting":
                return False
            self._append({"event": "cancelled", "job": job, "why": why[:500]})
            return True

    def reap(self, is_dead: Callable[[str], bool]) -> list[str]:
        """Jobs taken from workers that are dead; returns their names."""
        with self._log.locked() as new:
            self._fold(new)
            lost = [job for job, s in self.jobs.items() if s.status == "running" and is_dead(s.worker)]
            for job in lost:
                state = self.jobs[job]
                lost_it = {"event": "lost", "job": job, "attempt": state.attempt, "worker": state.worker}
                self._append(lost_it | _spent(state))
                (self.folder / "workers" / state.worker).unlink(missing_ok=True)
        return lost

    def retry_failed(self) -> list[str]:
        """Gives every failed job a new set of tries; returns their names."""
        with self._log.locked() as new:
            self._fold(new)
            failed = [job for job, state in self.jobs.items() if state.status == "failed"]
            for job in failed:
                self._append({"event": "again", "job": job})
        return failed

    def refresh(self) -> None:
        """Take in what other processes did."""
        with self._log.locked() as new:
            self._fold(new)

    def counts(self) -> dict[str, int]:
        """Jobs by status; always all four."""
        found: dict[str, int] = {"waiting": 0, "running": 0, "done": 0, "failed": 0}
        for state in self.jobs.values():
            found[state.status] += 1
        return found

    def is_over(self) -> bool:
        """Whether every job is done or has failed, as of the last events read."""
        return all(state.status in ("done", "failed") for state in self.jobs.values())

    def result(self, job: str) -> Payload | None:
        """What the job returned; None before. A file that is not a whole result is moved aside, and said in `notes`."""
        path = self._result_path(job)
        try:
            return read_result(path, job)
        except FileNotFoundError:
            return None
        except ValueError as error:
            path.replace(path.with_suffix(".torn"))
            self.notes.append(f"{path.name} was no whole result ({error}); it was moved aside")
            return None

    def remake_damaged(self) -> list[str]:
        """Jobs that were done and whose result is no longer whole wait again; returns their names."""
        with self._log.locked() as new:
            self._fold(new)
            gone = [job for job, state in self.jobs.items() if state.status == "done" and self.result(job) is None]
            for job in gone:
                self._append({"event": "damaged", "job": job})
        return gone

    def _leave(self, claim: Claim, event: Event) -> None:
        with self._log.locked() as new:
            self._fold(new)
            state = self.jobs[claim.job]
            if state.status == "running" and state.attempt == claim.attempt:
                self._append(event | {"job": claim.job, "attempt": claim.attempt} | _spent(state))

    def _append(self, event: Event) -> None:
        event = event | {"time": round(time.time(), 3)}
        self._log.append([event])
        self._fold([event])

    def _fold(self, events: list[Event]) -> None:
        for event in events:
            if event.get("job") not in self.jobs:  # added by a later start of the sweep
                self.payloads = _read_jobs(self.folder / "jobs.json")
                self.jobs |= {job: JobState() for job in self.payloads if job not in self.jobs}
            checked_name(event.get("worker", "none"), f"{self._log.path}: worker")
            try:
                self.jobs[event["job"]].apply(event, self.retries, self.max_losses)
            except (KeyError, TypeError, OverflowError) as error:
                raise self._log.damaged(json.dumps(event)[:100]) from error

    def _result_path(self, job: str) -> Path:
        return self.folder / "results" / f"{job}.json"


def job_id(*words: object, payload: Payload) -> str:
    """A readable name that is also unique to the payload: words and the first digits of its hash."""
    digest = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:8]
    text = re.sub(r"[^A-Za-z0-9.=+]+", "-", "-".join(str(word) for word in words)).strip("-.")
    return f"{text[:120]}-{digest}"


def write_result(path: Path, body: Payload) -> None:
    """Writes {"job", "attempt", "worker", "result"} with a digest of it all."""
    atomic_write_text(path, json.dumps({**body, "sha256": _digest(body)}, indent=1) + "\n")


def read_result(path: Path, job: str) -> Payload:
    """The result of `job` that `path` holds.

    Raises:
        ValueError: the file is damaged, or of another job; FileNotFoundError where there is none.
    """
    try:
        body = json.loads(read_regular(path, limit_bytes=MAX_RESULT_BYTES).decode("utf-8"))
        digest = body.pop("sha256", None)
        if body["job"] != job or not isinstance(body["result"], dict) or set(body) != set(RESULT):
            raise ValueError(f"it belongs to {str(body['job'])[:100]}" if body["job"] != job else "it has other parts")
        if digest not in (None, _digest(body)):  # earlier versions wrote none
            raise ValueError("its digest is another")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return body["result"]


def _digest(body: Payload) -> str:
    plain = json.loads(json.dumps(body))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _spent(state: JobState) -> Event:
    """How long an attempt took that ended early, as this process saw it: wall clocks may jump."""
    return {"spent_s": round(time.monotonic() - state.seen_s, 3)}


def _read_jobs(path: Path) -> dict[str, Payload]:
    try:
        jobs = json.loads(read_regular(path, limit_bytes=MAX_RESULT_BYTES).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected the sweep's jobs, got {error}; start in a new folder") from error
    if not isinstance(jobs, dict) or not all(isinstance(payload, dict) for payload in jobs.values()):
        raise ValueError(f"{path}: expected the sweep's jobs, got JSON of another shape; start in a new folder")
    for job in jobs:
        checked_name(job, f"{path}: job")
    return jobs
