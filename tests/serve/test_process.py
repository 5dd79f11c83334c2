"""The server's own process: strangers, kills, load. `python -m tests.serve.under_load NAME` prints the same figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serve.under_load import eight, hostile, killed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    return inner


@pytest.mark.slow
def test_two_hundred_requests_of_a_stranger_are_all_refused_and_leave_nothing(folder: Path) -> None:
    found = hostile(folder)
    print(found["statuses"])
    assert (found["requests"], found["not 4xx"], found["jobs"]) == (200, 0, 0)
    assert (found["left in the folder"], found["outside"]) == ([], [])
    assert (found["health afterwards"], found["exit code"]) == (200, 0)


@pytest.mark.slow
def test_no_accepted_job_is_lost_however_often_all_is_killed(folder: Path) -> None:
    found = killed(folder)
    print(found)
    assert (found["lost"], found["statuses"], found["meshes"]) == (0, {"done": 6}, 6)
    assert found["attempts"] > found["accepted"] and found["outside"] == []


@pytest.mark.slow
def test_eight_jobs_on_two_workers_finish(folder: Path) -> None:
    found = eight(folder)
    print(found)
    assert (found["statuses"], found["at once"]) == ({"done": 8}, 2)
