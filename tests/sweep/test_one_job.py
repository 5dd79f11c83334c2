"""One job of a benchmark: what is handed to the fit, what is scored, and what an earlier attempt left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nerf2mesh.sweep import jobs
from nerf2mesh.sweep.worker import Context
from tests.sweep.small_bench import small_case


def test_a_job_hands_the_picture_on_and_scores_what_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case, asked = small_case(), []

    class Known:
        mesh, render = case.mesh, None

    def fit(image=None, *, observations=None, overrides, output_dir):
        asked.append((image, observations, overrides, output_dir))
        return Known

    monkeypatch.setattr("nerf2mesh.api.fit", fit)
    monkeypatch.setattr(jobs, "load_case", lambda *_, **__: case)
    payload = {
        "protocol": "core",
        "track": "image",
        "data_dir": None,
        "dataset": "gso",
        "weights": {},
        "kind": "fit",
        "object": case.name,
        "method": "nerf2mesh tiny",
        "seed": 4,
        "overrides": ["preset=tiny"],
    }
    context = Context(tmp_path, 1, lambda words: None)
    (record,) = jobs.run_job(payload, context)["records"]
    assert record["metrics"]["chamfer"] == pytest.approx(0.0, abs=1e-6) and record["failed"] == ""
    image, _, overrides, folder = asked[0]
    assert image.is_file() and folder == tmp_path / "run" and "seed=4" in overrides and "preset=tiny" in overrides
    assert (tmp_path / "views" / "nerf2mesh tiny.png").is_file()
    json.dumps(record)

    def broken(*_, **__):
        raise RuntimeError("exploded")

    monkeypatch.setattr("nerf2mesh.api.fit", broken)
    with pytest.raises(RuntimeError, match="exploded"):
        jobs.run_job(payload, context)


def test_what_an_attempt_left_does_not_fail_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged checkpoint is no failure of the method: the fit starts anew, and what was refused is kept."""

    class Known:
        mesh, render = small_case().mesh, None

    def fit(image: Path, *, overrides: list[str], output_dir: Path) -> type[Known]:
        if (output_dir / "checkpoints/last").exists():
            raise ValueError(f"checkpoint: expected one of this run, got {output_dir} (torn); remove it")
        return Known

    monkeypatch.setattr("nerf2mesh.api.fit", fit)
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    (tmp_path / "run/checkpoints/last").write_text("torn")
    case = small_case()
    method = jobs.LibraryMethod(["preset=tiny"], tmp_path / "run")
    assert method(case.image, case.camera).mesh is Known.mesh and method.error is None
    assert (tmp_path / "run.refused/checkpoints/last").read_text() == "torn"
