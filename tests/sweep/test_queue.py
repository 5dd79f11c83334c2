"""The queue's promises, each with the accident that would break it: none twice, nothing lost, no torn files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nerf2mesh.sweep.event_log import EventLog
from nerf2mesh.sweep.heartbeat import Heartbeat, Watch, process_facts
from nerf2mesh.sweep.queue import Queue, job_id
from nerf2mesh.sweep.supervise import seconds_left, summary


def queue(folder: Path, count: int = 3, **limits: int) -> Queue:
    return Queue.create(folder, {f"job{k}": {"number": k} for k in range(count)}, **limits)


def test_jobs_are_claimed_once_by_many_at_a_time(tmp_path: Path) -> None:
    queue(tmp_path, 40)

    def drain(k: int) -> list[str]:
        mine, found = Queue(tmp_path), []
        while claim := mine.claim(f"w{k}"):
            found.append(claim.job)
            assert mine.finish(claim, f"w{k}", {"by": k})
        return found

    with ThreadPoolExecutor(6) as pool:
        lists = list(pool.map(drain, range(6)))
    taken = [job for jobs in lists for job in jobs]
    assert sorted(taken) == sorted(f"job{k}" for k in range(40))
    again = Queue(tmp_path)
    again.refresh()
    assert again.counts() == {"waiting": 0, "running": 0, "done": 40, "failed": 0}


def test_a_late_result_does_not_replace_the_first(tmp_path: Path) -> None:
    """A worker that was taken for dead comes back: whoever is first is kept, the other is refused."""
    q = queue(tmp_path, 1)
    slow = q.claim("slow")
    assert q.reap(lambda worker: worker == "slow") == ["job0"]
    fresh = q.claim("fresh")
    assert (slow.attempt, fresh.attempt) == (1, 2)
    q.fail(slow, "slow", "gave up")  # no longer its job: no effect
    assert q.jobs["job0"].status == "running"
    assert q.finish(fresh, "fresh", {"by": "fresh"})
    assert not q.finish(slow, "slow", {"by": "slow"})
    assert q.result("job0") == {"by": "fresh"}
    events = [json.loads(line)["event"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert events.count("done") == 1


def test_a_result_without_its_done_is_not_made_again(tmp_path: Path) -> None:
    q = queue(tmp_path, 1)
    claim = q.claim("a")
    q.finish(claim, "a", {"x": 1})
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "events.jsonl").write_bytes(lines[0] + lines[1][:20])  # died within the line
    q = Queue(tmp_path)
    assert q.reap(lambda worker: True) == ["job0"]
    assert q.claim("b") is None and q.is_over()
    assert "found on the disk" in summary(q)


def test_half_a_result_is_moved_aside_and_made_again(tmp_path: Path) -> None:
    q = queue(tmp_path, 1)
    (tmp_path / "results/job0.json").write_text('{"job": "job0", "resu')
    assert q.claim("a").job == "job0"
    assert (tmp_path / "results/job0.torn").exists() and "moved aside" in summary(q)


def test_torn_tail_is_cut_and_a_foreign_line_named(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    with log.locked():
        log.append([{"event": "a"}])
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"event": "b')
    with EventLog(tmp_path).locked() as events:
        assert events == [{"event": "a"}]
    with log.locked() as events:
        assert events == []
        log.append([{"event": "c"}])
    with EventLog(tmp_path).locked() as events:
        assert [e["event"] for e in events] == ["a", "c"]
    (tmp_path / "events.jsonl").write_text("not json\n")
    with pytest.raises(ValueError, match=r"events\.jsonl: expected lines of JSON"), EventLog(tmp_path).locked():
        pass


def test_retries_then_failed_and_new_tries_on_request(tmp_path: Path) -> None:
    q = queue(tmp_path, 2, retries=1)
    order = []
    for _ in range(4):
        claim = q.claim("w")
        order.append(claim.job)
        q.fail(claim, "w", "no good") if claim.job == "job0" else q.finish(claim, "w", {})
        if q.is_over():
            break
    assert order == ["job0", "job1", "job0"], "a job that failed waits behind fresh ones"
    assert q.counts()["failed"] == 1 and "no good" in summary(q)
    assert q.retry_failed() == ["job0"]
    assert q.claim("w").attempt == 3


def test_a_job_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    q = queue(tmp_path, 1, max_losses=3)
    for _ in range(3):
        assert q.claim("w") is not None
        q.reap(lambda worker: True)
    assert q.claim("w") is None and q.counts()["failed"] == 1


def test_more_jobs_may_come_but_none_may_change(tmp_path: Path) -> None:
    q = queue(tmp_path, 1)
    q.finish(q.claim("w"), "w", {})
    Queue.create(tmp_path, {"job9": {"number": 9}})
    other = Queue(tmp_path)
    assert other.claim("w").job == "job9"
    q.refresh()  # opened before the new job was there
    assert q.counts()["running"] == 1 and q.counts()["done"] == 1
    with pytest.raises(ValueError, match="expected the job job0 as"):
        Queue.create(tmp_path, {"job0": {"number": 5}})
    assert job_id("a", payload={"x": 1}) != job_id("a", payload={"x": 2})


def test_time_spent_in_vain_is_counted_by_a_clock_that_cannot_jump(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    q, now = queue(tmp_path, 1, retries=3), [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for wall, end in ((1e9, q.release), (5.0, q.fail)):
        claim = q.claim("w")
        monkeypatch.setattr(time, "time", lambda wall=wall: wall)
        now[0] += 7.0
        end(claim, "w", "why")
    q.claim("w")
    now[0] += 3.0
    q.reap(lambda worker: True)
    other = Queue(tmp_path)
    other.refresh()
    assert q.jobs["job0"].before_s == other.jobs["job0"].before_s == pytest.approx(17.0)


def test_time_left_knows_kinds_of_jobs(tmp_path: Path) -> None:
    kinds = {"b0": "baselines", "b1": "baselines", "f0": "fit", "f1": "fit"}
    q = Queue.create(tmp_path, {job: {"kind": kind} for job, kind in kinds.items()})
    for seconds in (2.0, 4.0):
        q.finish(q.claim("w"), "w", {}, seconds)
    assert seconds_left(q) == float("inf"), "no fit has been finished yet"
    q.finish(q.claim("w"), "w", {}, 60.0)
    assert seconds_left(q) == 60.0
    q.claim("w")
    assert seconds_left(q) == 30.0


def test_a_clock_that_jumps_kills_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Death is a beat that stands still on the watcher's own monotonic clock; wall clocks are never compared."""
    (tmp_path / "workers").mkdir()
    now = [0.0]
    watch = Watch(tmp_path, lease_s=10.0, clock=lambda: now[0])
    monkeypatch.setattr("nerf2mesh.sweep.heartbeat.process_facts", lambda pid: {"pid": pid})
    heartbeat = Heartbeat(tmp_path, "w", 1.0)
    for wall in (1e9, 2e9, 5.0):  # years ahead, then back
        monkeypatch.setattr(time, "time", lambda wall=wall: wall)
        heartbeat._beat()
        now[0] += 9.0
        assert not watch.is_dead("w")
    now[0] += 10.5
    assert watch.is_dead("w"), "no beat for longer than the lease"
    heartbeat._beat()
    assert not Watch(tmp_path, 10.0, clock=lambda: now[0]).is_dead("never seen"), "nobody is dead at first sight"


@pytest.mark.skipif("place" not in process_facts(os.getpid()), reason="tells processes apart by /proc")
def test_a_process_that_is_gone_is_known_at_once(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    code = "import sys, os; from pathlib import Path; from nerf2mesh.sweep.heartbeat import Heartbeat;"
    code += "Heartbeat(Path(sys.argv[1]), 'w', 1.0)._beat(); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE)
    watch = Watch(tmp_path, lease_s=1e9)
    while watch.read("w") is None:
        time.sleep(0.01)
    assert not watch.is_dead("w")
    child.kill()
    child.wait()
    assert watch.is_dead("w")


FULL = """
import resource, signal, sys
from nerf2mesh.sweep.queue import Queue
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
queue = Queue(sys.argv[1])
claims = [queue.claim("w"), queue.claim("w")]
size = (queue.folder / "events.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, size + 40))
refused = 0
for act in (lambda: queue.finish(claims[0], "w", {"text": "x" * 5000}), lambda: queue.fail(claims[1], "w", "y" * 300)):
    try:
        act()
    except OSError as error:
        refused += 1
sys.exit(refused)
"""


def test_a_full_disk_tears_nothing(tmp_path: Path) -> None:
    """A file size limit makes the system refuse in the middle of a write, as a full disk does."""
    queue(tmp_path, 2)
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert list((tmp_path / "results").iterdir()) == [], "neither half a result nor a part file"
    q = Queue(tmp_path)
    q.refresh()
    assert q.counts()["running"] == 2
    assert len(q.reap(lambda worker: True)) == 2
    claim = q.claim("w2")
    assert q.finish(claim, "w2", {"fine": 1}) and q.result(claim.job) == {"fine": 1}


def test_jobs_that_come_later_reach_a_worker_that_is_at_work(tmp_path: Path) -> None:
    first = Queue.create(tmp_path, {"a": {"number": 1}})
    worker = Queue(tmp_path)
    assert worker.claim("worker-1").job == "a"
    first.add({"b": {"number": 2}})
    assert Queue(tmp_path).payloads == {"a": {"number": 1}, "b": {"number": 2}}, "on the disk"
    found = worker.claim("worker-1")
    assert found is not None and (found.job, found.payload) == ("b", {"number": 2})
    with pytest.raises(ValueError, match="expected a new job, got b"):
        first.add({"b": {"number": 3}})
    assert Queue(tmp_path).payloads["b"] == {"number": 2}


def test_a_cancelled_job_is_run_by_nobody(tmp_path: Path) -> None:
    queue = Queue.create(tmp_path, {"a": {}, "b": {}})
    claim = queue.claim("worker-1")
    assert claim is not None and not queue.cancel("a", "cancelled"), "it runs"
    assert queue.cancel("b", "nobody wants it") and not queue.cancel("b", "again")
    queue.release(claim, "worker-1", "stopped")
    assert queue.cancel("a", "cancelled") and queue.claim("worker-1") is None
    again = Queue(tmp_path)
    again.refresh()
    assert again.is_over() and (again.jobs["b"].status, again.jobs["b"].why) == ("failed", "nobody wants it")
