"""Where one job of a queue stands, computed from the event log, one event after the other.

claim: a worker has it. done: its result is there. failed: it raised. lost: its worker died. released: handed back, no
fault of its own. again: the user gave it new tries. damaged: it was done, and its result is no longer whole. added: a
job that came while workers ran. cancelled: nobody wants it any more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from nerf2mesh.sweep.event_log import Event


@dataclass
class JobState:
    """Where one job stands. `attempt` counts claims; `history` is what happened, in words."""

    status: str = "waiting"
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    worker: str = ""
    seen_s: float = 0.0
    """When this process learned of the last claim, by its own monotonic clock."""
    seconds: float = 0.0
    before_s: float = 0.0
    """Spent in attempts that ended early, on whose checkpoints the later ones built."""
    why: str = ""
    """What the last attempt that ended early ended with."""
    history: list[str] = field(default_factory=list)

    def apply(self, event: Event, retries: int, max_losses: int) -> None:
        """One event's effect."""
        self.before_s += float(event.get("spent_s", 0.0))
        kind, who, why = event["event"], str(event.get("worker", "")), str(event.get("why", ""))
        if kind == "claim":
            self.status, self.attempt, self.worker = "running", int(event["attempt"]), who
            self.seen_s = time.monotonic()
        elif kind == "done":
            self.status, self.seconds = "done", float(event.get("seconds", 0.0))
            if event.get("found"):
                self.history.append("its result was found on the disk")
        elif kind == "failed":
            self.failures += 1
            self.why = why
            self.status = "waiting" if self.failures <= retries else "failed"
            self.history.append(f"attempt {event['attempt']} failed on {who}: {why}")
        elif kind == "lost":
            self.losses += 1
            self.why = "its process died"
            self.status = "waiting" if self.losses < max_losses else "failed"
            self.history.append(f"attempt {event['attempt']}: worker {who} died")
        elif kind == "released":
            self.status = "waiting"
            self.history.append(f"attempt {event['attempt']}: handed back by {who}: {why}")
        elif kind == "damaged":
            self.status = "waiting"
            self.history.append("its result was damaged or missing, and is made again")
        elif kind == "again":
            self.status, self.failures, self.losses = "waiting", 0, 0
            self.history.append("given new tries")
        elif kind == "cancelled":
            self.status, self.why = "failed", why
            self.history.append(f"cancelled: {why}")
        elif kind != "added":
            raise ValueError(
                f"queue: expected an event of this version, got {kind!r}; use the version that wrote the folder"
            )
