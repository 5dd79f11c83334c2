# SPDX-License-Identifier: GPL-3.0-or-later
"""One run in a process of its own, and how far it has come. Pure standard library: no bpy.

Nothing here waits: progress is read from the run folder's files, so that a timer of the interface can ask often.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

PATIENCE_S = 15.0
"""A run that was asked to stop writes a checkpoint; one that still runs after this is killed."""
TAIL_BYTES = 8192
LOG = "blender.log"


class Run:
    """A started run. `status` is running, done, failed or cancelled."""

    def __init__(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        """Starts the command; its folder is made, and what it prints goes to LOG in it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.started_s = time.monotonic()
        self._asked_s: float | None = None
        hidden = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {"start_new_session": True}
        with open(folder / LOG, "wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, cwd=folder, **hidden
            )

    @property
    def mesh(self) -> Path:
        """What comes out."""
        return self.folder / "mesh.glb"

    @property
    def status(self) -> str:
        """Looks at the process and returns at once."""
        code = self._process.poll()
        if code is None:
            if self._asked_s is not None and time.monotonic() - self._asked_s > PATIENCE_S:
                self._process.kill()
            return "running"
        if self._asked_s is not None:
            return "cancelled"
        return "done" if code == 0 and self.mesh.is_file() else "failed"

    def cancel(self) -> None:
        """Asks the run to stop; the next looks at `status` see to it that it does."""
        if self._asked_s is None:
            self._asked_s = time.monotonic()
            self._process.terminate()

    def progress(self) -> tuple[int, int]:
        """Steps done and steps in all; (0, 0) before the first."""
        steps = re.findall(rb'"step": (\d+)', _tail(self.folder / "metrics.jsonl"))
        return (int(steps[-1]) if steps else 0), total_steps(self.folder / "config.yaml")

    def words(self) -> str:
        """One line for the panel."""
        done, total = self.progress()
        elapsed = int(time.monotonic() - self.started_s)
        if self._asked_s is not None:
            return f"stopping, {elapsed} s"
        if not total or not done:
            return f"preparing, {elapsed} s"
        return f"step {done} of {total}, {elapsed} s" if done < total else f"making the mesh, {elapsed} s"

    def problem(self) -> str:
        """The last line that the run printed."""
        lines = [line for line in _tail(self.folder / LOG).decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1].removeprefix("error: ") if lines else "it printed nothing"


def total_steps(path: Path) -> int:
    """`optimize.steps` in a run's config.yaml; 0 where it cannot be read. Blender's Python has no YAML reader."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return 0
    group = re.search(r"^optimize:\n((?:[ ].*\n)*)", text, re.MULTILINE)
    steps = re.search(r"^  steps: (\d+)$", group.group(1), re.MULTILINE) if group else None
    return int(steps.group(1)) if steps else 0


def _tail(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - TAIL_BYTES))
            return stream.read()
    except OSError:
        return b""
