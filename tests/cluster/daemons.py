"""SLURM's daemons for the length of a block, and the processes of this machine behind the heartbeats of a sweep."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).resolve().parent / "slurm.sh"


@contextmanager
def slurm_daemons(root: Path) -> Iterator[None]:
    """Two nodes on this machine; inside the block sbatch and the rest are on the PATH."""
    before = dict(os.environ)
    try:
        subprocess.run(["bash", str(SCRIPT), "start", str(root)], check=True)
        os.environ |= sourced(root / "env")
        yield
    finally:
        subprocess.run(["bash", str(SCRIPT), "stop", str(root)], check=False)
        os.environ.clear()
        os.environ |= before


def sourced(path: Path) -> dict[str, str]:
    """The variables that a shell file sets."""
    out = subprocess.run(["bash", "-c", f"source {path} && env -0"], check=True, capture_output=True).stdout
    return dict(entry.split("=", 1) for entry in out.decode().split("\0") if "=" in entry)


def workers_alive(folder: Path) -> list[int]:
    """The workers of a sweep, by their numbers in this process's namespace; this process itself is left out."""
    found = [host_pid(path) for path in sorted((folder / "workers").glob("*"))]
    return [pid for pid in found if pid is not None and pid != os.getpid()]


def host_pid(beat: Path) -> int | None:
    """The living process of a heartbeat, which may lie in another process namespace below this one."""
    try:
        body: dict[str, Any] = json.loads(beat.read_text(encoding="utf-8"))
        pid, space = int(body["pid"]), str(body["place"]).split()[1]
    except (OSError, ValueError, KeyError):
        return None
    if space == os.readlink("/proc/self/ns/pid"):
        return pid if Path(f"/proc/{pid}").exists() else None
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            inner = re.search(r"^NSpid:.*\s(\d+)$", status.read_text(), re.MULTILINE)
            if inner and int(inner[1]) == pid and os.readlink(status.parent / "ns/pid") == space:
                return int(status.parent.name)
        except OSError:  # it has ended meanwhile
            continue
    return None
