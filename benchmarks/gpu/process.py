"""Processes that an item starts: in a group of their own, never past a given moment, and nothing of them stays."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Figures = dict[str, object]


class NotRun(Exception):
    """This machine lacks what the item needs; the text says what."""


class Overran(Exception):
    """A process was killed because its time was up; `figures` is what it had found by then."""

    def __init__(self, text: str, figures: Figures | None = None) -> None:
        super().__init__(text)
        self.figures = figures or {}


@dataclass(frozen=True)
class Setting:
    """How an item runs.

    device: "cuda"; "cpu" or "meta" for a rehearsal at toy sizes, whose figures mean nothing.
    until: the moment of `time.monotonic` at which its processes are killed.
    library: a file that serves as the CUDA library, or None for the one beside the package.
    """

    device: str
    until: float
    library: Path | None = None

    @property
    def rehearsal(self) -> bool:
        return self.device != "cuda"


def need(*modules: str) -> None:
    for name in modules:
        if importlib.util.find_spec(name) is None:
            raise NotRun(f"the package {name} is not installed")


def environment(setting: Setting, **more: str) -> dict[str, str]:
    """The inherited variables; the repository comes before what PYTHONPATH names already."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    library = {"N2M_CUDA_LIBRARY": str(setting.library)} if setting.library else {}
    return {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", **library, **more}


def command(arguments: list[str], setting: Setting, **more: str) -> tuple[int, str]:
    """Exit code and output.

    Raises:
        Overran: it was killed, with all that it had started; the text is its output.
    """
    with tempfile.TemporaryFile() as output:
        started = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env=environment(setting, **more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        late = False
        try:
            started.wait(max(0.0, setting.until - time.monotonic()))
        except subprocess.TimeoutExpired:
            late = True
        finally:
            _end(started)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if late:
        raise Overran(text)
    return started.returncode, text


def _end(started: subprocess.Popen) -> None:
    """Kills the process and its group, whether it still runs or has left others behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()


MEASURE = """
import importlib, json, sys
module, function, options = json.loads(sys.argv[1])
if options.get("device") == "cuda":
    from nerf2mesh.kernels import available
    if available()["cuda"] is None:
        sys.exit("the CUDA library cannot be loaded")
figures = getattr(importlib.import_module(module), function)(**options)
print("FIGURES" + json.dumps(figures))
"""


def in_process(setting: Setting, module: str, function: str, **options: object) -> Figures:
    """A measurement in a fresh process: a crash or an endless kernel then costs this item only."""
    status, text = command([sys.executable, "-c", MEASURE, json.dumps([module, function, options])], setting)
    lines = [line for line in text.splitlines() if line.startswith("FIGURES")]
    if status or not lines:
        return {"failed": f"exit code {status}: {text[-4000:]}"}
    return json.loads(lines[-1][len("FIGURES") :])
