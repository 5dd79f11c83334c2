"""A sweep's folder in every state that a disk, a kill or a stranger may leave: healed, or refused in one line."""

from __future__ import annotations

import io
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nerf2mesh.sweep.heartbeat import Watch
from nerf2mesh.sweep.queue import Queue
from nerf2mesh.sweep.supervise import summary, supervise
from nerf2mesh.sweep.worker import Context, Rules, work
from tests.sweep.standin import Here

JOBS = {f"job{k}": {"number": k} for k in range(3)}


class InProcess(Here):
    """One worker in this process, on stand-in jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, count: int) -> None:
        work(self.folder, square)


def square(payload: dict, context: Context) -> dict:
    return {"square": payload["number"] ** 2}


def sweep(folder: Path) -> dict[str, object]:
    """What the command does: go on with whatever is there; the results."""
    queue = Queue.create(folder, JOBS)
    Rules(beat_s=0.05, lease_s=0.5).save(folder)
    queue.remake_damaged()
    supervise(queue, InProcess(folder), 1, lease_s=0.5, poll_s=0.01, say_every_s=60, out=io.StringIO())
    summary(queue)
    return {job: queue.result(job) for job in JOBS}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole sweep, to be copied and damaged."""
    folder = tmp_path_factory.mktemp("sweep") / "finished"
    assert sweep(folder) == {f"job{k}": {"square": k * k} for k in range(3)}
    (folder / "workers/gone-1").write_text('{"beat": 1}')
    return folder


def cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data))]


def flip(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]


def other(data: bytes, dice: random.Random) -> bytes:
    return dice.choice(
        [b"[]", b"null", b"3", b'{"job": []}', b"\xff\xfe", b"[" * 5000, b'{"event": "claim"}\n', b"{}\n"]
    )


FILES = ("jobs.json", "events.jsonl", "rules.json", "results/job1.json", "workers/gone-1")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [cut, flip, other])
def test_damage_loses_no_result_silently(
    name: str, damage: Callable[[bytes, random.Random], bytes], finished: Path, tmp_path: Path
) -> None:
    """Either all results come, and they are right, or one line says which file is damaged."""
    for seed in range(6):
        folder, dice = tmp_path / str(seed), random.Random(f"{name} {damage.__name__} {seed}")
        shutil.copytree(finished, folder)
        (folder / name).write_bytes(damage((folder / name).read_bytes(), dice))
        try:
            found = sweep(folder)
        except ValueError as error:
            assert Path(name).name in str(error) or "queue:" in str(error)
            assert "; " in str(error) and len(str(error).splitlines()) == 1
        else:
            assert found == {f"job{k}": {"square": k * k} for k in range(3)}


def test_without_its_events_a_sweep_finds_the_results_again(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    (folder / "events.jsonl").unlink()
    before = (folder / "results/job2.json").read_bytes()
    assert sweep(folder) == {f"job{k}": {"square": k * k} for k in range(3)}
    assert (folder / "results/job2.json").read_bytes() == before


def test_a_worker_that_ended_with_an_error_is_dead_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk lets it neither hand its job back nor end well; its process may live on, as with joblib."""
    queue = Queue.create(tmp_path, JOBS)
    Rules(lease_s=1e9).save(tmp_path)

    def full(payload: dict, context: Context) -> dict:
        monkeypatch.setattr(Queue, "release", nothing_fits)
        raise OSError(28, "No space left on device", "runs/job0")

    def nothing_fits(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        work(tmp_path, full)
    queue.refresh()
    assert queue.counts()["running"] == 1
    assert queue.reap(Watch(tmp_path, lease_s=1e9).is_dead) == ["job0"]
    assert list((tmp_path / "workers").iterdir()) == []
