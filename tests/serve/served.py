"""A server's own process for tests: started, killed with all its workers, started again on the same folder."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from nerf2mesh.sweep.heartbeat import process_facts
from tests.serve.standin import TOKEN

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import os, sys
from pathlib import Path
folder = Path(sys.argv[1]).resolve()
log = os.open(os.environ["N2M_TEST_WRITES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def seen(event, arguments):
    written = None
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        written = arguments[0]
    elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink"):
        written = arguments[1] if event in ("os.rename", "os.link", "os.symlink") else arguments[0]
    if isinstance(written, (str, bytes, os.PathLike)):
        base = arguments[-1] if event != "open" and arguments[-1] >= 0 else None  # a name in an open folder
        place = os.path.realpath(os.path.join(f"/proc/self/fd/{base}" if base else "", os.fsdecode(written)))
        if not Path(place).is_relative_to(folder) and not place.startswith(("/dev/", "/proc/")):
            os.write(log, (event + " " + place + "\\n").encode())
sys.dont_write_bytecode = True
from nerf2mesh.cli import serve
sys.addaudithook(seen)
serve()
"""


class Served:
    """`port` once it answers. Every write of the server's process outside its folder is noted in `outside`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder / "served", options
        self._writes = folder / "writes.log"

    def start(self) -> None:
        """Returns when the server answers."""
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "N2M_SERVE_TOKEN": TOKEN,
            "N2M_TEST_WRITES": str(self._writes),
        }
        command = [sys.executable, "-c", CODE, str(self.folder), "--port", "0", "--free-gib", "0", *self.options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.port = int(re.findall(r":(\d+)/docs", line)[0])
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60.0
        )

    def kill_all(self) -> None:
        """kill -9 of the server, and of every worker that gives a sign of life in its folder."""
        self.process.kill()
        self.process.wait()
        for path in (self.folder / "workers").iterdir():
            pid = int(path.name.split("-")[1])
            command = Path(f"/proc/{pid}/cmdline")
            with contextlib.suppress(OSError):
                if str(self.folder).encode() in command.read_bytes() and process_facts(pid).get("start"):
                    os.kill(pid, signal.SIGKILL)

    def stop(self) -> int:
        """A polite stop; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def outside(self) -> list[str]:
        """Writes outside the folder, one a line."""
        return self._writes.read_text().splitlines() if self._writes.exists() else []

    def jobs(self) -> dict[str, dict]:
        """All jobs, by id."""
        return {job["id"]: job for job in self.client.get("/v1/jobs", params={"limit": 1000}).json()}

    def wait(self, seconds: float) -> dict[str, dict]:
        """The jobs once none waits or runs."""
        end = time.monotonic() + seconds
        while is_busy(jobs := self.jobs()):
            assert time.monotonic() < end, jobs
            time.sleep(0.5)
        return jobs


def is_busy(jobs: dict[str, dict]) -> bool:
    return any(job["status"] in ("waiting", "running") for job in jobs.values())
