"""Many processes of one command that pay for its imports once: each is a fork of a process that has made them.

A fork goes on at the top level of its program, so that it ends as a program does: the interpreter takes itself down.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SERVER = """
import gc, os, sys
{imports}
gc.freeze()
while True:
    folder = sys.stdin.readline().rstrip()
    if not folder:
        sys.exit()
    child = os.fork()
    if child:
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
    break
{program}
"""


class Fork:
    """A running fork; its streams are the files `stdout` and `stderr` of its folder."""

    def __init__(self, server: subprocess.Popen[str], folder: Path) -> None:
        assert server.stdin is not None and server.stdout is not None
        self.server, self.folder, self.code = server, folder, None
        server.stdin.write(f"{folder}\n")
        server.stdin.flush()
        self.pid = int(server.stdout.readline())

    def wait_for(self, said: str, at_most_s: float = 60.0) -> None:
        """Until its standard output has these words."""
        file, end = self.folder / "stdout", time.monotonic() + at_most_s
        while not (file.exists() and said in file.read_text("utf-8")):
            assert time.monotonic() < end, (self.folder / "stderr").read_text("utf-8")
            time.sleep(0.01)

    def wait(self) -> int:
        """Its exit code, negative for a signal."""
        assert self.server.stdout is not None
        return int(self.server.stdout.readline())

    def send(self, number: int) -> bool:
        """Sends a signal; whether the fork was still there."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


@contextmanager
def forks_of(imports: str, program: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has made the imports, for `Fork`, and whose forks run the program."""
    root = Path(__file__).resolve().parents[1]
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER.format(imports=imports, program=program)],
        env=os.environ | {"PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield server
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.communicate()
