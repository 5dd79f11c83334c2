"""A sweep folder of somebody else: no name in it leads out of it, no override in it acts, no module is theirs."""

from __future__ import annotations

import io
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from nerf2mesh.sweep import heartbeat, jobs
from nerf2mesh.sweep.config import SlurmConfig
from nerf2mesh.sweep.event_log import EventLog
from nerf2mesh.sweep.launchers import LocalLauncher, WorkerSpec
from nerf2mesh.sweep.queue import Queue
from nerf2mesh.sweep.supervise import supervise
from nerf2mesh.sweep.worker import Context, Rules
from nerf2mesh.utils.names import checked_name

OUTWARD = ["../../x", "/x", "a/b", "..", ".x", "", "a\\b", "a b", "x\n", "-rf", "ü", "a" * 300, 3, None]


@pytest.mark.parametrize("name", OUTWARD)
def test_a_name_that_leads_elsewhere_is_none(name: object) -> None:
    with pytest.raises(ValueError, match=r"^job: expected a name of letters") as refused:
        checked_name(name, "job")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("worker", ["../../victim", "/victim", "..", 7])
def test_a_claim_by_a_worker_with_such_a_name_deletes_nothing(worker: object, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    Queue.create(folder, {"a": {}})
    victim = tmp_path / "victim"
    victim.write_text("kept", encoding="utf-8")
    claim = {"event": "claim", "job": "a", "attempt": 1, "worker": worker}
    (folder / "events.jsonl").write_text(json.dumps(claim) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"events\.jsonl: worker: expected a name"):
        Queue(folder).reap(lambda name: True)
    assert victim.read_text(encoding="utf-8") == "kept"


@pytest.mark.parametrize("job", ["../../x", "/x", ".hidden"])
def test_a_job_with_such_a_name_is_refused(job: str, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    with pytest.raises(ValueError, match="job: expected a name"):
        Queue.create(folder, {job: {}})
    Queue.create(folder, {"a": {}})
    (folder / "jobs.json").write_text(json.dumps({"a": {}, job: {}}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"jobs\.json: job: expected a name"):
        Queue(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"]


def test_our_own_names_pass_and_do_not_name_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "annas-workstation")
    for job in ("", "123_4", "-x", "a b/c"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        assert "annas" not in checked_name(heartbeat.new_name(), "worker")
    assert len({heartbeat.new_name() for _ in range(100)}) == 100


def test_overrides_of_a_received_job_are_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "case_of", lambda payload, sweep: None)
    context = Context(tmp_path / "runs" / "a", 1, lambda words: None)
    payload = {"kind": "fit", "overrides": ["input.prompt=${oc.env:HOME}"], "seed": 0, "method": "m", "weights": {}}
    with pytest.raises(ValueError, match=r"jobs\.json: expected settings of nerf2mesh only.*--allow oc\.env"):
        jobs.run_job(payload, context)


@pytest.mark.parametrize("extra", [{"comment": "x\ntouch y"}, {"a b": "x"}, {"x\n": 1}, {"comment": "\r"}])
def test_options_of_sbatch_are_single_lines(extra: dict) -> None:
    with pytest.raises(ValueError, match=r"launch\.slurm: expected options of one line"):
        SlurmConfig(extra=extra)
    assert SlurmConfig(extra={"constraint": "a100|h100", "time-min": 30}, partition="gpu").partition == "gpu"


def test_workers_do_not_import_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, folder = tmp_path / "here", tmp_path / "sweep"
    here.mkdir()
    for module in ("trimesh", "torch", "omegaconf", "queue", "sitecustomize"):
        (here / f"{module}.py").write_text(f"open({str(here / 'ran')!r}, 'w')", encoding="utf-8")
    monkeypatch.chdir(here)
    queue = Queue.create(folder, {"a": {"steps": 1, "seconds": 0.01, "number": 3}})
    Rules(beat_s=0.2, lease_s=30.0).save(folder)
    supervise(queue, LocalLauncher(WorkerSpec(folder, "tests.sweep.standin:sleep")), 1, poll_s=0.05, out=io.StringIO())
    assert queue.result("a") == {"square": 9}
    assert not (here / "ran").exists()


@pytest.mark.parametrize("plant", [os.symlink, os.link])
@pytest.mark.parametrize("name", ["events.lock", "events.jsonl", "workers/w-1"])
def test_links_in_a_received_sweep_never_reach_the_users_files(name: str, plant: Callable, tmp_path: Path) -> None:
    mine, folder = tmp_path / "mine.txt", tmp_path / "sweep"
    mine.write_text("mine", encoding="utf-8")
    (folder / "workers").mkdir(parents=True)
    plant(mine, folder / name)
    with pytest.raises(ValueError, match=r": expected a regular file, got "):
        with heartbeat.Heartbeat(folder, "w-1", 9.0).beating():
            pass
        with EventLog(folder).locked():
            pass
    assert mine.read_text("utf-8") == "mine"
