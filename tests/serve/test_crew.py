"""Real worker processes under the crew: cancelled, too slow, deaf, left behind by a server that was killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nerf2mesh.serve import crew as crew_module
from nerf2mesh.serve.crew import Crew
from nerf2mesh.serve.store import Store
from tests.serve.standin import picture, store_in


def post(store: Store, steps: int) -> str:
    return store.add(picture(), ".png", {"settings": {}, "overrides": [], "steps": steps})[0]


def until(reached: Callable[[], bool], crew: Crew, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not happen in time"
        crew.tick()
        time.sleep(0.05)


def status(store: Store, job: str) -> str:
    view = store.view(job)
    assert view is not None
    return view.status


def crew_of(store: Store, function: str) -> Crew:
    return Crew(store, threads=1, function=f"tests.serve.jobs:{function}")


@pytest.mark.slow
def test_a_running_job_is_cancelled_and_one_too_slow_given_up(tmp_path: Path) -> None:
    store = store_in(tmp_path, workers=2, job_s=3.0)
    crew = crew_of(store, "sleep")
    cancelled, slow = post(store, 10_000), post(store, 10_000)
    try:
        until(lambda: status(store, cancelled) == "running" and store.view(cancelled).step > 0, crew)
        store.stop(cancelled, "cancelled")
        until(lambda: store.queue.jobs[cancelled].status == "failed", crew)
        until(lambda: status(store, slow) == "cancelled", crew)
        until(lambda: store.queue.jobs[slow].status == "failed", crew)
        short = post(store, 1)
        until(lambda: status(store, short) == "done", crew)
    finally:
        crew.launcher.stop(5.0)
    assert status(store, cancelled) == "cancelled" and "at most 3 s" in store.view(slow).why
    assert store.queue.claim("other") is None


@pytest.mark.slow
def test_a_deaf_worker_is_killed_and_the_next_server_adopts_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew_module, "PATIENCE_S", 0.5)
    store = store_in(tmp_path, workers=1)
    first = crew_of(store, "deaf")
    job, later = post(store, 10_000), post(store, 2)
    try:
        until(lambda: status(store, job) == "running", first)
        second_store = store_in(tmp_path, workers=1)  # the first server's process is gone, its worker is not
        second = crew_of(second_store, "deaf")
        second.tick()
        assert second.launcher.processes == [], "the worker that runs is counted"
        second_store.stop(job, "cancelled")
        until(lambda: status(second_store, later) == "done", second)
        assert status(second_store, job) == "cancelled" and len(second.launcher.processes) == 1
    finally:
        first.launcher.stop(0.1)
        second.launcher.stop(0.1)
