"""Adapters in whole runs: fitted, fitted again on renderings, written down, and stacked on the next run's prior."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import nerf2mesh
from nerf2mesh.inputs import demo_picture
from nerf2mesh.lora import read_adapter
from nerf2mesh.lora.lowrank import from_state
from nerf2mesh.utils.checkpoint import read_checkpoint
from tests.lora.test_style import SMALL
from tests.tiny_run import PLAIN

SETTINGS = [*PLAIN, "lora=subject", "lora.steps=2", "lora.learning_rate=0.01", "optimize.steps=2", "threads=1"]


def write_network(path: Path) -> Path:
    """A tiny built-in network whose every layer, the last ones too, has random weights."""
    torch.manual_seed(0)
    network = SMALL.build()
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    tensors = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(tensors, path, metadata={"network": json.dumps(SMALL.as_dict())})
    return path


def run(folder: Path, *more: str) -> dict:
    weights = folder.parent / "tiny.safetensors"
    settings = [*SETTINGS, f"prior.weights={weights if weights.exists() else write_network(weights)}", *more]
    nerf2mesh.fit(demo_picture(), overrides=settings, output_dir=folder)
    return read_checkpoint(folder / "checkpoints/last.safetensors")


@pytest.mark.slow
def test_refresh_changes_the_adapter_and_its_file_serves_the_next_run(tmp_path: Path) -> None:
    once = run(tmp_path / "once")
    twice = run(tmp_path / "twice", "lora.refresh_at=0.5")
    assert once["adapter"].keys() == twice["adapter"].keys()
    assert any(not torch.equal(once["adapter"][key], twice["adapter"][key]) for key in once["adapter"])
    file = tmp_path / "once/adapters/subject.safetensors"
    assert {layer.rank for layer in from_state(read_adapter(file)).values()} == {2}
    styled = run(tmp_path / "styled", "lora.subject=false", f"lora.adapters=[{file}]", "lora.weights=[3.0]")
    plain = run(tmp_path / "plain", "lora.subject=false")
    assert styled["adapter"] == {}
    same = [torch.equal(styled["field"][key], plain["field"][key]) for key in plain["field"]]
    assert not all(same), "the style adapter has no effect"
    about = json.loads((tmp_path / "styled/provenance.json").read_text())
    assert len(about["weights"]["lora/0"]["sha256"]) == 64
