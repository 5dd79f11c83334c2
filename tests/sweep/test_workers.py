"""Real worker processes: killed, stopped politely, refused; the sweep ends as if nothing had happened."""

from __future__ import annotations

import io
import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.run.preemption import REQUEUE
from nerf2mesh.sweep.launchers import LocalLauncher, WorkerSpec
from nerf2mesh.sweep.queue import Queue
from nerf2mesh.sweep.supervise import summary, supervise
from nerf2mesh.sweep.worker import Context, Rules, load_function
from tests.sweep.standin import fit_tiny, lines

RULES = Rules(beat_s=0.2, lease_s=30.0)


def sweep(folder: Path, count: int, function: str, workers: int = 2, **payload: object) -> tuple[Queue, LocalLauncher]:
    payload = {"steps": 2, "seconds": 0.01} | payload
    queue = Queue.create(folder, {f"job{k:03d}": payload | {"number": k} for k in range(count)})
    RULES.save(folder)
    return queue, LocalLauncher(WorkerSpec(folder, f"tests.sweep.standin:{function}"))


def test_many_jobs_with_a_worker_killed_again_and_again(tmp_path: Path) -> None:
    queue, launcher = sweep(tmp_path, 60, "sleep")
    over, kills = threading.Event(), []

    def kill_now_and_then() -> None:
        for ended in (5, 20, 35):
            while len(lines(tmp_path, "ended")) < ended and not over.wait(0.01):
                pass
            alive = [process for process, _ in launcher.processes if process.poll() is None]
            kills.append(random.choice(alive).kill())

    threading.Thread(target=kill_now_and_then, daemon=True).start()
    said = io.StringIO()
    supervise(queue, launcher, 2, lease_s=60.0, poll_s=0.05, say_every_s=1.0, out=said)
    over.set()
    assert len(kills) == 3
    assert queue.counts() == {"waiting": 0, "running": 0, "done": 60, "failed": 0}
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    done = [e["job"] for e in events if e["event"] == "done"]
    assert len(done) == len(set(done)) == 60, "all finish, none twice"
    assert {job: queue.result(job) for job in queue.jobs} == {f"job{k:03d}": {"square": k * k} for k in range(60)}
    lost = sum(e["event"] == "lost" for e in events)
    text = summary(queue)
    found = sum(e.get("found", False) for e in events)  # killed between its result and its word that it is done
    assert f"{60 + lost - found} attempts, {lost} ended by a worker's death" in text
    assert lost <= len(kills) and "waiting" in said.getvalue()
    ends = lines(tmp_path, "ended")
    assert set(ends) == set(queue.jobs) and len(ends) <= 60 + lost


@pytest.mark.slow
def test_two_hundred_fits_with_a_worker_killed_every_twenty_seconds(tmp_path: Path) -> None:
    queue, launcher = sweep(tmp_path, 200, "fit_tiny")
    over, kills = threading.Event(), []

    def kill_now_and_then() -> None:
        while not over.wait(20.0):
            alive = [process for process, _ in launcher.processes if process.poll() is None]
            kills.append(random.choice(alive).kill())

    threading.Thread(target=kill_now_and_then, daemon=True).start()
    supervise(queue, launcher, 2, lease_s=10.0, poll_s=0.2, say_every_s=20.0)
    over.set()
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    done = [e["job"] for e in events if e["event"] == "done"]
    assert len(done) == len(set(done)) == 200, "all finish, none twice"
    lost = sum(e["event"] == "lost" for e in events)
    print(summary(queue))
    assert len(kills) >= lost >= 1
    meshes = [TriangleMesh.from_file(tmp_path / "runs" / job / "run/mesh.glb") for job in list(queue.jobs)[::40]]
    assert all(mesh.is_watertight for mesh in meshes)
    hit = next(e["job"] for e in events if e["event"] == "lost")
    undisturbed = fit_tiny({"number": int(hit[3:])}, Context(tmp_path / "alone", 1, print))
    assert queue.result(hit) == undisturbed, "killed and taken up again, the same mesh"


def test_polite_stop_hands_the_job_back(tmp_path: Path) -> None:
    sweep(tmp_path, 1, "sleep", steps=500)
    command = [sys.executable, "-m", "nerf2mesh.sweep.worker", str(tmp_path), "tests.sweep.standin:sleep"]
    worker = subprocess.Popen(command)
    while not lines(tmp_path, "started"):
        assert worker.poll() is None, "the worker ended before it began a job"
        time.sleep(0.01)
    worker.send_signal(signal.SIGUSR1)
    assert worker.wait(20) == REQUEUE
    queue = Queue(tmp_path)
    queue.refresh()
    state = queue.jobs["job000"]
    assert (state.status, state.failures, state.losses) == ("waiting", 0, 0)
    assert "handed back" in state.history[0] and "SIGUSR1" in state.history[0]
    assert list((tmp_path / "workers").iterdir()) == [], "it signed off"


def test_errors_are_tried_again_and_told(tmp_path: Path) -> None:
    queue, launcher = sweep(tmp_path, 2, "raise_twice")
    supervise(queue, launcher, 1, poll_s=0.05, say_every_s=9, out=io.StringIO())
    assert queue.counts()["failed"] == 2
    assert "RuntimeError: not yet" in summary(queue)
    queue.retry_failed()
    supervise(queue, launcher, 1, poll_s=0.05, say_every_s=9, out=io.StringIO())
    assert [queue.result(job) for job in queue.jobs] == [{"attempt": 3}, {"attempt": 3}]


@pytest.mark.slow
def test_a_poisonous_job_does_not_hold_up_the_others(tmp_path: Path) -> None:
    queue, launcher = sweep(tmp_path, 1, "kill_itself")
    queue.max_losses = 4
    supervise(queue, launcher, 1, poll_s=0.02, say_every_s=9, out=io.StringIO(), lease_s=3.0)
    assert queue.counts()["failed"] == 1 and queue.jobs["job000"].losses == 4


def test_a_full_disk_ends_the_sweep_with_one_sentence(tmp_path: Path) -> None:
    queue, _ = sweep(tmp_path, 1, "fill_the_disk")
    Rules(beat_s=0.2, lease_s=2.0).save(tmp_path)

    class Small(LocalLauncher):
        """Workers that may write no more than 64 KiB into a file."""

        def start(self, count: int) -> None:
            code = "import resource, signal, runpy, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            code += "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536));"
            code += "runpy.run_module('nerf2mesh.sweep.worker', run_name='__main__')"
            log = tmp_path / "worker.log"
            command = [sys.executable, "-c", code, str(tmp_path), "tests.sweep.standin:fill_the_disk"]
            with log.open("w") as file:
                self.processes.append((subprocess.Popen(command, stdout=file, stderr=file), log))

    small = Small(WorkerSpec(tmp_path, "tests.sweep.standin:fill_the_disk"))
    with pytest.raises(ValueError, match=r"no space is left for .*it goes on"):
        supervise(queue, small, 1, poll_s=0.05, say_every_s=9, out=io.StringIO())
    launcher = LocalLauncher(WorkerSpec(tmp_path, "tests.sweep.standin:fill_the_disk"))
    supervise(queue, launcher, 1, poll_s=0.05, say_every_s=9, out=io.StringIO())  # with room again
    assert len(queue.result("job000")["text"]) == 200_000


def test_the_folder_names_no_code(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected MODULE:FUNCTION"):
        load_function("os")


def test_an_idle_worker_leaves_after_a_while(tmp_path: Path) -> None:
    """Somebody else's job runs; nothing waits: the worker does not sit on its place for ever."""
    queue, _ = sweep(tmp_path, 1, "sleep")
    Rules(beat_s=0.1, lease_s=1e6, linger_s=0.5).save(tmp_path)
    assert queue.claim("somebody-elsewhere") is not None
    command = [sys.executable, "-m", "nerf2mesh.sweep.worker", str(tmp_path), "tests.sweep.standin:sleep"]
    assert subprocess.run(command, timeout=60).returncode == 0
    queue.refresh()
    assert queue.counts()["running"] == 1
