"""python -m benchmarks viewer [--image FILE] [--pairs 3] [--overrides KEY=VALUE ...] [--out FILE.json]

What one idle visitor of the live viewer costs a run. Within one run, blocks of steps with nobody looking and blocks
with a visitor take turns; by default each goes from one preview to the next, so that what happens with a preview (a
mesh is cut for those who look) is in it once. The visitor is a process of its own that speaks viser's protocol, tells
its camera once and takes all pictures and meshes, but draws nothing: as a browser on another machine does to this one.

Printed for each block: seconds a step by the clock; processor time a step of the run's process with all its threads;
and how much of that the viewer's own threads took (painter, cutter, viser's server), as a share of what the run took
itself. Where other programs run, that share is the one to trust: it does not depend on how fast two blocks happened
to go.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nerf2mesh
from nerf2mesh.optimize import LoopState, Problem, RunControl
from nerf2mesh.run import run_fit

SETTLE = 40
ENDLESS = (
    *("optimize.steps=1000000", "report.viewer=true", "report.viewer_instant=false"),
    *("report.turntable_frames=0", "mesh=vertex_colors"),
)


def visit(port: int) -> None:
    """Told "in" or "out" on standard input, comes or goes, and says so once it is done, with the number of messages and
    of bytes that it has taken."""
    import msgspec
    import viser
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import ClientConnection, connect
    from websockets.typing import Subprotocol

    camera = {
        "type": "ViewerCameraMessage", "wxyz": (0.5, 0.5, -0.5, -0.5), "position": (4.0, 0.0, 0.5), "fov": 0.8,
        "near": 0.01, "far": 1000.0, "image_height": 720, "image_width": 1080, "look_at": (0.0, 0.0, 0.0),
        "up_direction": (0.0, 0.0, 1.0),
    }  # fmt: skip
    connection: ClientConnection | None = None
    taken: list[int] = []
    for line in sys.stdin:
        if line.strip() == "in":
            wanted = [Subprotocol(f"viser-v{viser.__version__}")]
            origin: Any = f"http://127.0.0.1:{port}"
            connection = connect(f"ws://127.0.0.1:{port}", subprotocols=wanted, origin=origin, max_size=None)
            connection.send(msgspec.msgpack.encode(camera))
            threading.Thread(target=lambda c: taken.extend(map(len, c)), args=(connection,), daemon=True).start()
        elif connection is not None:
            with contextlib.suppress(ConnectionClosed):
                connection.close()
        print(line.strip(), len(taken), sum(taken), flush=True)


class Meter:
    """A watch that lets the visitor come and go, and times the steps between two previews."""

    def __init__(self, visitor: subprocess.Popen[str], control: RunControl, pairs: int, every: int) -> None:
        self.visitor, self.control, self.pairs, self.every = visitor, control, pairs, every
        self.blocks: list[tuple[bool, float, float, float]] = []
        """(whether somebody looked, seconds a step, processor seconds a step, the viewer's share of the run's own)"""
        self._began: tuple[float, float, float] | None = None

    def step(self, state: LoopState, problem: Problem) -> None:
        """The first SETTLE steps after each change are not timed: who comes is first sent all there is."""
        del problem
        at, timed = state.step % self.every, self.every - SETTLE
        if at == SETTLE:
            self._began = _now()
        if at or self._began is None:
            return
        wall, cpu, viewer = ((after - before) / timed for after, before in zip(_now(), self._began))
        self.blocks.append((len(self.blocks) % 2 == 1, wall, cpu, viewer / (cpu - viewer)))
        who = "visitor" if self.blocks[-1][0] else "nobody "
        print(f"{who}  {wall:.3f} s a step, {cpu:.3f} s of processor time, of which the viewer's {viewer:.4f} s: "
              f"{viewer / (cpu - viewer):.1%} of the run's own", flush=True)  # fmt: skip
        if len(self.blocks) == 2 * self.pairs:
            self.tell("out")
            self.control.stop()
        else:
            self.tell("in" if len(self.blocks) % 2 else "out")

    def tell(self, word: str) -> None:
        """Waits until the visitor has come or gone."""
        assert self.visitor.stdin is not None and self.visitor.stdout is not None
        self.visitor.stdin.write(word + "\n")
        self.visitor.stdin.flush()
        answer, n_messages, n_bytes = self.visitor.stdout.readline().split()
        assert answer == word
        if word == "out":
            print(f"         {n_messages} messages, {int(n_bytes) / 1e6:.1f} MB taken so far", flush=True)

    def keep(self, state: LoopState, folder: Path) -> None:
        """The run's own viewer keeps states."""

    def finishing(self) -> None:
        """Nothing is timed any more."""

    def finished(self) -> None:
        """All is made."""


def _now() -> tuple[float, float, float]:
    """The clock, and the processor time of the process and of its other Python threads, in seconds (Linux)."""
    tick, others = os.sysconf("SC_CLK_TCK"), 0
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and thread.native_id is not None:
            with contextlib.suppress(OSError):  # it has just ended
                line = Path(f"/proc/self/task/{thread.native_id}/stat").read_text(encoding="utf-8")
                others += sum(map(int, line.rpartition(")")[2].split()[11:13]))
    return time.monotonic(), time.process_time(), others / tick


def main(argv: Sequence[str] | None = None) -> int:
    """Runs, prints, and writes what was asked for."""
    parser = argparse.ArgumentParser("benchmarks viewer", description=__doc__)
    parser.add_argument("--image", default=str(nerf2mesh.demo_picture()))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--block", type=int, default=0, help="steps of a block; 0: from preview to preview")
    parser.add_argument("--overrides", nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--visit", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.visit:
        visit(asked.visit)
        return 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks", "viewer", "--visit", str(port)]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as visitor,
    ):
        fixed = [f"report.viewer_port={port}", f"input.image={asked.image}", f"output_dir={folder}/run"]
        config = nerf2mesh.load_config(["report=quiet", *ENDLESS, *fixed, *asked.overrides])
        control = RunControl()
        meter = Meter(visitor, control, asked.pairs, asked.block or config.optimize.preview_every)
        run_fit(config, control=control, watch=meter)
        assert visitor.stdin is not None
        visitor.stdin.close()
    ratios = [after[1] / before[1] for before, after in zip(meter.blocks[::2], meter.blocks[1::2])]
    shares = [block[3] for block in meter.blocks[1::2]]
    print(f"with a visitor / without, by the clock, median of {len(ratios)} pairs: {statistics.median(ratios):.3f}")
    print(f"the viewer's share of processor time with a visitor: {statistics.fmean(shares):.1%}")
    if asked.out:
        asked.out.write_text(
            json.dumps({"blocks": meter.blocks, "ratios": ratios, "shares": shares}, indent=1) + "\n", encoding="utf-8"
        )
    return 0
