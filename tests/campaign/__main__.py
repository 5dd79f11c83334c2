"""Disturbs a tiny fit, and a small sweep, in every way that this machine allows; then the same command must end right.

    python -m tests.campaign [--seconds 600] [--seed N] [--only SIGTERM]

Each try takes a fresh folder, disturbs the command, and gives it again, undisturbed: the mesh must be the undisturbed
run's byte for byte, and nobody may have printed a traceback. The table says how often each was tried.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nerf2mesh.inputs import demo_picture

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (
    *(
        "preset=tiny",
        "optimize.steps=12",
        "optimize.checkpoint_every=2",
        "lora.steps=1",
        "threads=1",
        "report.html=false",
    ),
    *("report.turntable_frames=0", "report.quiet=true"),
)
CODE = "import sys; sys.argv = ['nerf2mesh', *{arguments!r}]; from nerf2mesh.cli import main; main()"
PATIENCE_S = 900.0


@dataclass
class Row:
    """What came of one kind of disturbance."""

    tried: int = 0
    unequal: int = 0
    tracebacks: int = 0
    notes: list[str] = field(default_factory=list)


class Campaign:
    """The commands, the undisturbed results, and the table."""

    def __init__(self, room: Path, dice: random.Random) -> None:
        self.room, self.dice, self.count = room, dice, 0
        self.rows: dict[str, Row] = {}
        self.sweep_meshes: list[bytes] = []
        (room / "cups").mkdir()
        for name in ("a.png", "b.png"):
            shutil.copy(demo_picture(), room / "cups" / name)
        started = time.monotonic()
        self.fit_mesh, self.moments = self._undisturbed()
        self.duration_s = time.monotonic() - started

    def arguments(self, folder: Path, sweep: bool) -> list[str]:
        """Of the command line: one picture, or two as a sweep of two workers."""
        picture = str(self.room / "cups") if sweep else str(demo_picture())
        workers = ["launch.workers=2"] if sweep else []
        return [f"input.image={picture}", f"output_dir={folder}", *SETTINGS, *workers]

    def start(
        self, folder: Path, kind: str = "nothing", number: int = 0, *, sweep: bool = False
    ) -> subprocess.Popen[str]:
        """The command in a process group of its own."""
        code = CODE.format(arguments=self.arguments(folder, sweep))
        command = [sys.executable, "-m", "tests.campaign.crash_at", kind, str(number), code]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
        return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)

    def once(self, name: str, disturb: Callable[[Campaign, Path], list[str]], *, sweep: bool = False) -> None:
        """One try: disturbed, then given again; its row grows."""
        row, wanted = self.rows.setdefault(name, Row()), self._wanted(sweep)
        self.count += 1
        folder = self.room / f"try{self.count}"
        said = disturb(self, folder)
        last = self.start(folder, sweep=sweep)
        said.append(last.communicate(timeout=PATIENCE_S)[0])
        row.tried += 1
        equal = last.returncode == 0 and meshes_in(folder, sweep) == wanted
        row.unequal += not equal
        row.tracebacks += any("Traceback" in text for text in said)
        if not equal or any("Traceback" in text for text in said):
            row.notes.append(f"{name}, exit code {last.returncode}: {' '.join(said)[-600:]}")
        shutil.rmtree(folder, ignore_errors=True)

    def moment_s(self) -> float:
        """A random moment of an undisturbed run, a little beyond its end included."""
        return self.dice.uniform(0.0, 1.1 * self.duration_s)

    def _wanted(self, sweep: bool) -> list[bytes]:
        """The undisturbed run's meshes; of a sweep they name other pictures, and are made once."""
        if sweep and not self.sweep_meshes:
            self.start(self.room / "whole-sweep", sweep=True).communicate(timeout=PATIENCE_S)
            self.sweep_meshes = meshes_in(self.room / "whole-sweep", sweep)
        return self.sweep_meshes if sweep else [self.fit_mesh]

    def _undisturbed(self) -> tuple[bytes, dict[str, int]]:
        process = self.start(self.room / "whole")
        said = process.communicate(timeout=PATIENCE_S)[0]
        if process.returncode != 0:
            raise SystemExit(f"the undisturbed run ended with {process.returncode}:\n{said}")
        words = next(line.split() for line in said.splitlines() if line.startswith("moments"))
        moments = dict(zip(("open", "fsync", "rename"), map(int, words[1:]), strict=True))
        return (self.room / "whole/mesh.glb").read_bytes(), moments


def meshes_in(folder: Path, sweep: bool) -> list[bytes]:
    """The meshes of a run's folder, or of a sweep's two; empty where one is missing."""
    paths = [folder / k / "mesh.glb" for k in ("a", "b")] if sweep else [folder / "mesh.glb"]
    return [path.read_bytes() for path in paths] if all(path.is_file() for path in paths) else []


def signaled(*numbers: int, group: bool = False, sweep: bool = False) -> Callable[[Campaign, Path], list[str]]:
    """Signals one after the other, the first at a random moment; `group`: to the workers too."""

    def disturb(campaign: Campaign, folder: Path) -> list[str]:
        process = campaign.start(folder, sweep=sweep)
        time.sleep(campaign.moment_s())
        for number in numbers:
            if process.poll() is None:
                (os.killpg if group else os.kill)(process.pid, number)
            time.sleep(campaign.dice.uniform(0.0, 0.3))
        said = process.communicate(timeout=PATIENCE_S)[0]
        # Before Python listens, Ctrl-C shows its own traceback: nothing of ours has started.
        return [] if "tests/campaign/crash_at.py" in said and "nerf2mesh/run" not in said else [said]

    return disturb


def crashed(kind: str) -> Callable[[Campaign, Path], list[str]]:
    """The process ends at a random moment of a kind, or the disk is full from a random open on."""

    def disturb(campaign: Campaign, folder: Path) -> list[str]:
        most = campaign.moments["open" if kind == "full" else kind]
        process = campaign.start(folder, kind, campaign.dice.randint(1, most))
        return [process.communicate(timeout=PATIENCE_S)[0]]

    return disturb


def two_at_once(campaign: Campaign, folder: Path) -> list[str]:
    """Two processes in one folder: one works, the other is refused or waits its turn."""
    both = [campaign.start(folder) for _ in range(2)]
    return [process.communicate(timeout=PATIENCE_S)[0] for process in both]


def deleted(campaign: Campaign, folder: Path) -> list[str]:
    """The folder is removed in the middle."""
    process = campaign.start(folder)
    time.sleep(campaign.moment_s())
    shutil.rmtree(folder, ignore_errors=True)
    return [process.communicate(timeout=PATIENCE_S)[0]]


def read_only(campaign: Campaign, folder: Path) -> list[str]:
    """The folders lose the right to be written in (root is not bound by it: the run then goes on)."""
    process = campaign.start(folder)
    time.sleep(campaign.moment_s())
    places = [place for place in (folder, *folder.glob("*/")) if place.is_dir()]
    for place in places:
        place.chmod(0o555)
    said = process.communicate(timeout=PATIENCE_S)[0]
    for place in places:
        place.chmod(0o755)
    return [said]


KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
DISTURBANCES = {
    "SIGKILL": signaled(KILL),
    "crash at an open": crashed("open"),
    "crash at an fsync": crashed("fsync"),
    "crash at a rename": crashed("rename"),
    "disk full from an open on": crashed("full"),
    "SIGTERM": signaled(TERM),
    "three SIGTERM": signaled(TERM, TERM, TERM),
    "SIGINT": signaled(INT),
    "three SIGINT": signaled(INT, INT, INT),
    "stop and continue": signaled(signal.SIGSTOP, signal.SIGCONT),
    "two processes": two_at_once,
    "folder deleted midway": deleted,
    "read-only midway": read_only,
}
SWEEPS = {
    "sweep: SIGKILL": signaled(KILL, sweep=True),
    "sweep: SIGTERM": signaled(TERM, sweep=True),
    "sweep: three SIGINT": signaled(INT, INT, INT, sweep=True),
}


def main() -> int:
    """Round after round until the time is over; 1 where anything was unequal or printed a traceback."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", default="", help="a part of the names of the disturbances to try")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.randrange(1 << 30)
    with tempfile.TemporaryDirectory(prefix="n2m_campaign_") as room:
        campaign = Campaign(Path(room), random.Random(seed))
        print(f"seed {seed}; an undisturbed run takes {campaign.duration_s:.1f} s, {campaign.moments}", flush=True)
        end = time.monotonic() + given.seconds
        kinds = [(name, disturb, name in SWEEPS) for name, disturb in {**DISTURBANCES, **SWEEPS}.items()]
        kinds = [kind for kind in kinds if given.only in kind[0]]
        while time.monotonic() < end and kinds:
            campaign.dice.shuffle(kinds)
            for name, disturb, sweep in kinds:
                if time.monotonic() < end:
                    campaign.once(name, disturb, sweep=sweep)
    rows = campaign.rows
    print(f"{'disturbance':28} {'tried':>6} {'unequal':>8} {'tracebacks':>11}")
    for name, row in rows.items():
        print(f"{name:28} {row.tried:6} {row.unequal:8} {row.tracebacks:11}")
    print("\n".join(note for row in rows.values() for note in row.notes))
    return int(any(row.unequal or row.tracebacks for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
