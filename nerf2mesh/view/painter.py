"""The thread that paints the field for each visitor, at a size that keeps it fluid, and that yields to the run.

A visitor who moves gets pictures that take MOVING_S each; one who stands gets a large one; one who stands while the run
goes on gets a new one so rarely that all of them together take IDLE_SHARE of the process's processor time (a share of
the clock's would grow where other programs slow the run down).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nerf2mesh.types import Camera
from nerf2mesh.view.beside import start_thread
from nerf2mesh.view.copies import FieldCopy
from nerf2mesh.view.pictures import axis_depth, channel_picture, visitor_camera

MOVING_S, STILL_S, IDLE_S = 0.1, 0.5, 0.12
"""What a picture may take."""
IDLE_SHARE = 0.01
RESTS_S = 0.3
"""After so long without a move a visitor stands."""
LEAST_PX, MOST_PX = 48**2, 640**2
FIRST_SPEED = 40_000.0
"""Pixels a second, until a picture was timed."""


@dataclass
class Visitor:
    """One browser: how its camera was last, and what it was last sent."""

    client: Any
    moved_at: float
    drawn_at: float = -1.0
    drawn_px: int = 0
    drawn_step: int = -2


@dataclass(frozen=True)
class Job:
    """A picture to paint for a visitor, that may take `seconds`."""

    visitor: Visitor
    seconds: float
    idle: bool = False


class Painter:
    """Start with `start`, end with `stop`. `tick` is called about once a second from this thread
    while somebody looks."""

    def __init__(self, copy: FieldCopy | None, *, beside_run: bool = False) -> None:
        """beside_run: the processors belong to a run in this process."""
        self.copy, self.beside_run = copy, beside_run
        self.tick: Callable[[], None] = lambda: None
        self.channel, self.visible = "color", True
        self.wants_copy = threading.Event()
        """Set while a newer state of the run is wanted."""
        self.failures: deque[str] = deque(maxlen=20)
        """The latest pictures that could not be sent, one line each."""
        self._visitors: dict[int, Visitor] = {}
        self._speed, self._idle_after = FIRST_SPEED, 0.0
        self._wake, self._ending = threading.Event(), False
        self._chosen: deque[tuple[Path, Callable[[str], None]]] = deque(maxlen=1)
        self._thread: threading.Thread | None = None

    @property
    def n_visitors(self) -> int:
        """How many browsers look."""
        return len(self._visitors)

    def start(self) -> None:
        """Begins to paint."""
        self._thread = start_thread(self._run, "nerf2mesh-painter", beside_run=self.beside_run)

    def stop(self) -> None:
        """Ends after the present picture."""
        self._ending = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10.0)

    def enter(self, client: Any) -> None:
        """A browser has come, or moved its camera."""
        known = self._visitors.get(client.client_id)
        if known is None:
            self._visitors[client.client_id] = Visitor(client, time.monotonic())
        else:
            known.moved_at = time.monotonic()
        self._wake.set()

    def leave(self, client: Any) -> None:
        """A browser has gone."""
        self._visitors.pop(client.client_id, None)

    def repaint(self) -> None:
        """Everybody gets a new picture: the channel or the field is another."""
        for visitor in list(self._visitors.values()):
            visitor.drawn_px, visitor.drawn_at = 0, -1.0
        self._wake.set()

    def show_state(self, path: Path, say: Callable[[str], None]) -> None:
        """Reads a kept state of the run and paints it for everybody; of several wishes the last counts. say: is told
        why a state cannot be read."""
        self._chosen.append((path, say))
        self._wake.set()

    def _read_chosen(self) -> None:
        if not self._chosen or self.copy is None:
            return
        path, say = self._chosen.pop()
        try:
            self.copy.read(path)
        except (ValueError, OSError) as error:
            say(str(error))
        self.repaint()

    def _run(self) -> None:
        ticked = 0.0
        while not self._ending:
            self._read_chosen()
            job = self._next(time.monotonic())
            if job is not None:
                self._paint(job)
            else:
                self._wake.wait(0.05)
                self._wake.clear()
            if self._visitors and time.monotonic() - ticked > 1.0:
                self.tick()
                ticked = time.monotonic()

    def _next(self, now: float) -> Job | None:
        """Who is served: those who move, then those who have come to rest, then those who only watch."""
        visitors = sorted(self._visitors.values(), key=lambda v: v.drawn_at)
        if self.copy is None or self.copy.step < 0:
            if visitors:
                self.wants_copy.set()
            return None
        for visitor in visitors:
            if visitor.moved_at > visitor.drawn_at:
                return Job(visitor, MOVING_S)
        for visitor in visitors:
            if now - visitor.moved_at > RESTS_S and visitor.drawn_px < self._pixels(STILL_S) // 2:
                return Job(visitor, STILL_S)
        if visitors and time.process_time() > self._idle_after:
            self.wants_copy.set()
            behind = [visitor for visitor in visitors if visitor.drawn_step != self.copy.step]
            return Job(behind[0], IDLE_S, idle=True) if behind else None
        return None

    def _pixels(self, seconds: float) -> int:
        return int(min(MOST_PX, max(LEAST_PX, self._speed * seconds)))

    def _paint(self, job: Job) -> None:
        visitor, started, worked = job.visitor, time.monotonic(), time.thread_time()
        n_pixels = self._pixels(job.seconds)
        try:
            self._send(visitor, n_pixels)
        except Exception as error:  # a browser that has just gone, or has not told its camera yet: others go on
            self.failures.append(f"{type(error).__name__}: {error}")
            visitor.drawn_at = time.monotonic()
            time.sleep(0.1)
            return
        took = max(1e-4, time.monotonic() - started)
        self._speed = 0.5 * self._speed + 0.5 * n_pixels / took
        rest = (time.thread_time() - worked) / IDLE_SHARE if job.idle else 0.0
        self._idle_after = max(self._idle_after, time.process_time() + rest)
        visitor.drawn_at, visitor.drawn_px = started, max(n_pixels, visitor.drawn_px if job.idle else 0)

    def _send(self, visitor: Visitor, n_pixels: int) -> None:
        client, copy = visitor.client, self.copy
        assert copy is not None
        if not self.visible:
            client.scene.set_background_image(None)
            visitor.drawn_step = copy.step
            return
        camera = camera_of(client.camera, n_pixels)
        step, channel = copy.step, self.channel
        shown = copy.render(camera, normals=channel == "normals")
        picture = channel_picture(shown, channel)
        client.scene.set_background_image(picture, format="jpeg", jpeg_quality=80, depth=axis_depth(shown, camera))
        visitor.drawn_step = step


def camera_of(seen: Any, n_pixels: int) -> Camera:
    """The camera of a viser client, with about `n_pixels` pixels."""
    import viser.transforms

    aspect = min(4.0, max(0.25, float(seen.aspect)))
    height = max(16, round((n_pixels / aspect) ** 0.5))
    rotation = viser.transforms.SO3(np.asarray(seen.wxyz)).as_matrix()
    return visitor_camera(rotation, np.asarray(seen.position), float(seen.fov), max(16, round(height * aspect)), height)
