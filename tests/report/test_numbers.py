"""metrics.jsonl, the clock, progress and provenance."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nerf2mesh.report import MetricsLog, Progress, provenance, read_metrics, sha256_file, versions, write_json
from nerf2mesh.report import progress as progress_module
from nerf2mesh.report.metrics_log import series


def test_metrics_are_read_back(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write(1, {"loss/color": 0.5, "occupancy/fraction": np.float32(0.25)})
    log.write(2, {"loss/color": float("nan"), "samples": 7})
    first, second = read_metrics(log.path)
    assert first["step"] == 1 and first["loss/color"] == 0.5 and first["occupancy/fraction"] == 0.25
    assert second["loss/color"] is None and second["time_s"] >= first["time_s"]
    assert series([first, second])["loss/color"] == ([1], [0.5])


def test_resume_drops_later_and_torn_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for step in range(10):
        log.write(step, {"loss": step})
    with path.open("a") as file:
        file.write('{"step": 10, "lo')
    MetricsLog(path, resume_step=6).write(7, {"loss": 70})
    assert [row["loss"] for row in read_metrics(path)] == [0, 1, 2, 3, 4, 5, 6, 70]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_new_log_starts_empty_and_missing_log_has_no_rows(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.jsonl") == []
    MetricsLog(tmp_path / "metrics.jsonl").write(1, {"loss": 1})
    MetricsLog(tmp_path / "metrics.jsonl")
    assert read_metrics(tmp_path / "metrics.jsonl") == []


CLOCKED = """
import json, time
import numpy as np
from nerf2mesh.report import StageClock
clock = StageClock()
with clock.stage("small"):
    time.sleep(0.02)
with clock.stage("large"):
    block = np.ones(24_000_000)
    for _ in range(2):
        with clock.part("render"):
            time.sleep(0.01)
print(json.dumps(clock.to_dict()))
"""


def test_clock_splits_time_and_memory() -> None:
    """In a process of its own: what other tests have used and given back would hide the block."""
    split = json.loads(subprocess.run([sys.executable, "-c", CLOCKED], capture_output=True, check=True).stdout)
    assert 0.02 <= split["small"]["seconds"] < 1.0
    assert split["large"]["parts"]["render"] >= 0.02
    assert split["large"]["peak_bytes"] - split["small"]["peak_bytes"] > 0.8 * 8 * 24_000_000


def test_progress_in_a_file_prints_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "LOG_INTERVAL_S", 0.0)
    stream = io.StringIO()
    with Progress(10, "optimize", stream=stream, initial=4) as progress:
        progress.update(2, loss=0.123456, samples=12)
        progress.note("a note")
        assert progress.remaining_s is not None and progress.remaining_s >= 0
    line, note = stream.getvalue().splitlines()[:2]
    assert line.startswith("optimize 6/10, ") and "left" in line and "loss=0.123, samples=12" in line
    assert note == "a note"


def test_progress_without_a_total_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "LOG_INTERVAL_S", -1.0)
    stream = io.StringIO()
    with Progress(None, "mesh", stream=stream, unit="stage") as progress:
        progress.update(0, stage="bake")
    assert re.fullmatch(r"mesh, 0:\d\d elapsed, stage=bake\n", stream.getvalue())


def test_progress_is_live_in_a_terminal() -> None:
    stream = io.StringIO()
    stream.isatty = lambda: True
    with Progress(5, "bake", stream=stream) as progress:
        assert list(progress.track("abcde")) == list("abcde")
    assert "5/5" in stream.getvalue()


def test_quiet_progress_prints_nothing_but_notes() -> None:
    stream = io.StringIO()
    with Progress(5, quiet=True, stream=stream) as progress:
        progress.update(5, loss=1.0)
        progress.note("only this")
    assert stream.getvalue() == "only this\n"


def test_provenance_hashes_files(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"weights" * 1000)
    digest = hashlib.sha256(b"weights" * 1000).hexdigest()
    assert sha256_file(file) == digest
    many = {"model": "owner/name", "sha256": {"unet": digest}}
    record = provenance(inputs={"image": tmp_path / "gone.png"}, weights={"prior": file, "second prior": many}, seed=3)
    assert record["weights"]["second prior"] == many
    assert record["weights"]["prior"] == {"file": "weights.safetensors", "bytes": 7000, "sha256": digest}
    assert record["inputs"]["image"]["missing"] and record["seed"] == 3
    assert "torch" in versions() and "python" in record["versions"]


def test_json_is_written_whole(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"path": Path("x"), "n": 1})
    assert json.loads(path.read_text()) == {"path": "x", "n": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
