"""TensorBoard and Weights & Biases beside metrics.jsonl; both packages are optional."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from nerf2mesh.report import ReportConfig, RunLogs, read_metrics


def test_metrics_jsonl_alone_by_default(tmp_path: Path) -> None:
    logs = RunLogs(tmp_path)
    logs.write(1, {"loss/a": 0.5})
    logs.close()
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
    assert read_metrics(tmp_path / "metrics.jsonl")[0]["loss/a"] == 0.5


def test_tensorboard_has_the_same_numbers_and_a_resumed_run_replaces(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logs = RunLogs(tmp_path, ("tensorboard",))
    for step in (1, 2, 3):
        logs.write(step, {"loss/a": float(step), "loss/bad": math.nan})
    logs.close()
    logs = RunLogs(tmp_path, ("tensorboard",), resume_step=1)
    logs.write(2, {"loss/a": 20.0})
    logs.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss/a")] == [(1, 1.0), (2, 20.0)]
    assert "loss/bad" not in events.Tags()["scalars"], "what is not finite is in metrics.jsonl only, as null"
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2]


def test_wandb_is_told_to_stay_offline_and_keeps_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in for the package: what it is called with."""
    calls: list[tuple[str, object]] = []

    class Run:
        def log(self, numbers, step):
            calls.append(("log", (step, numbers)))

        def finish(self):
            calls.append(("finish", None))

    class Wandb:
        Settings = dict

        @staticmethod
        def init(**arguments):
            calls.append(("init", arguments))
            return Run()

    monkeypatch.setitem(__import__("sys").modules, "wandb", Wandb)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    for resume_step in (0, 2):
        logs = RunLogs(tmp_path, ("wandb",), resume_step=resume_step)
        logs.write(resume_step, {"loss/a": 1.0})
        logs.write(resume_step + 1, {"loss/a": 1.0})
        logs.close()
    inits = [arguments for name, arguments in calls if name == "init"]
    assert inits[0]["mode"] == "offline" and inits[0]["id"] == inits[1]["id"], "one run, although started twice"
    assert [step for name, (step, _) in ((n, a) for n, a in calls if n == "log")] == [1, 3]
    assert json.dumps(inits[0]["dir"]) == json.dumps(str(tmp_path))


def test_unknown_loggers_are_refused() -> None:
    with pytest.raises(ValueError, match="tensorboard, wandb, got 'comet'"):
        ReportConfig(loggers=("comet",))
