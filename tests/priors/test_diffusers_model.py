"""The built-in network as a model of diffusers: saved, loaded, adapted, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig as PeftConfig

from nerf2mesh.lora import adapters
from nerf2mesh.priors import PriorConfig, load_prior
from nerf2mesh.priors.builtin.diffusers_model import MultiViewDenoiserModel
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.network import ABSENT, CLEAN, NOISY, DenoiserConfig
from nerf2mesh.procedural.captions import N_WORDS
from nerf2mesh.types import Camera

SMALL = DenoiserConfig(
    image_size=16, channels=16, volume_size=8, volume_channels=8, deep_channels=16, n_deep=1, n_words=N_WORDS
)


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    network = SMALL.build()
    for value in network.parameters():  # layers that start at zero would hide what is lost
        torch.nn.init.normal_(value, std=0.05)
    return network.eval()


@pytest.fixture
def asked() -> tuple:
    cameras = Camera.orbit(torch.tensor([[0.0, 90.0, 200.0]] * 2), 15.0, width_px=16)
    images = torch.randn(2, 3, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    kind = torch.tensor([[CLEAN, NOISY, NOISY], [ABSENT, NOISY, NOISY]])
    return images, torch.tensor([-1.0, 0.5]), kind, FrameGeometry.of(cameras), torch.tensor([[1, 4], [2, 0]])


@torch.no_grad()
def test_a_saved_model_answers_as_the_network_does(network, asked, tmp_path: Path) -> None:
    MultiViewDenoiserModel.of(network).save_pretrained(tmp_path)
    assert {file.suffix for file in tmp_path.iterdir()} == {".json", ".safetensors"}
    again = MultiViewDenoiserModel.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    assert torch.equal(again(*asked), network(*asked))
    prior = load_prior(PriorConfig(weights=str(tmp_path)))
    assert torch.equal(prior.network(*asked), network(*asked))
    assert prior.image_size == 16


def test_the_packaged_weights_survive_the_way_through_diffusers(tmp_path: Path) -> None:
    network = load_prior(PriorConfig()).network
    MultiViewDenoiserModel.of(network).save_pretrained(tmp_path)
    again = load_prior(PriorConfig(weights=str(tmp_path))).network
    assert again.config == network.config
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in network.state_dict().items())


@torch.no_grad()
def test_diffusers_puts_adapters_on(network, asked) -> None:
    model = MultiViewDenoiserModel.of(network)
    model.add_adapter(PeftConfig(r=2, target_modules=["qkv", "to_lift"], init_lora_weights=False), adapter_name="style")
    assert not torch.allclose(model(*asked), network(*asked))
    model.disable_adapters()
    assert torch.equal(model(*asked), network(*asked))


def test_a_network_with_adapters_is_refused(network) -> None:
    adapters.attach(network, "style", rank=2)
    with pytest.raises(ValueError, match="network: expected one without adapters"):
        MultiViewDenoiserModel.of(network)


def test_folders_that_are_something_else_are_named(network, tmp_path: Path) -> None:
    MultiViewDenoiserModel.of(network).save_pretrained(tmp_path)
    about = json.loads((tmp_path / "config.json").read_text())

    def refused(message: str, **changes: object) -> None:
        (tmp_path / "config.json").write_text(json.dumps(about | changes))
        with pytest.raises(ValueError, match=message):
            load_prior(PriorConfig(weights=str(tmp_path)))

    refused(
        "prior.weights: expected a MultiViewDenoiserModel, got a UNet2DConditionModel",
        _class_name="UNet2DConditionModel",
    )
    refused("prior.weights: .* another vocabulary", vocabulary="red green")
    refused("prior.weights: .* does not fit its own configuration", channels=32)
    refused("prior.weights: expected channels of 8 to 512 in steps of 8", channels=10**9)
    next(tmp_path.glob("*.safetensors")).write_bytes(b"torn")
    refused("prior.weights: expected a readable safetensors file")
