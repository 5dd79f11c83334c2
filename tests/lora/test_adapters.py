"""Adapters on a small network with random weights: conventions and round trips, bit for bit."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nerf2mesh import lora
from nerf2mesh.lora import adapters
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.network import CLEAN, NOISY, DenoiserConfig
from nerf2mesh.types import Camera

SMALL = DenoiserConfig(
    image_size=16, channels=8, volume_size=8, volume_channels=8, deep_channels=16, n_deep=1, n_ray_samples=4
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    net = SMALL.build()
    for parameter in net.parameters():
        if parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.05)
    return net.requires_grad_(False)


def output(network) -> torch.Tensor:
    g = torch.Generator().manual_seed(1)
    camera = Camera.orbit(torch.tensor([[0.0, 120.0]]), 10.0, width_px=16)
    with torch.no_grad():
        images, kind = torch.randn(1, 2, 4, 16, 16, generator=g), torch.tensor([[CLEAN, NOISY]])
        return network(images, torch.tensor([0.0]), kind, FrameGeometry.of(camera))


def shake(network, name: str, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapters.train_only(network, name):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=g))
    network.requires_grad_(False)


def test_a_fresh_adapter_changes_nothing_and_nothing_learns_by_itself(network) -> None:
    before = output(network)
    lora.attach(network, "style", rank=2)
    assert torch.equal(output(network), before)
    assert not any(p.requires_grad for p in network.parameters())


def test_empty_stack_is_the_bare_network(network) -> None:
    before = output(network)
    lora.attach(network, "style", rank=2)
    shake(network, "style", 0)
    lora.stack(network, {"style": 1.0})
    assert not torch.equal(output(network), before)
    lora.stack(network, {})
    assert torch.equal(output(network), before)


def test_using_holds_inside_and_ends_also_with_an_exception(network) -> None:
    """Bare inside `using({})`, and what was active before is active after, with its weight."""
    bare = output(network)
    for i, name in enumerate(("style", "phi")):
        lora.attach(network, name, rank=2)
        shake(network, name, i)
    lora.stack(network, {"style": 0.5})
    styled = output(network)
    with lora.using(network, {}):
        assert torch.equal(output(network), bare)
        with lora.using(network, {"phi": 1.0, "style": 2.0}):
            both = output(network)
        assert torch.equal(output(network), bare)
    assert torch.equal(output(network), styled)
    with pytest.raises(RuntimeError, match="inside"), lora.using(network, {"style": 2.0, "phi": 1.0}):
        assert torch.allclose(output(network), both, atol=1e-6)
        raise RuntimeError("inside")
    assert torch.equal(output(network), styled)
    with pytest.raises(ValueError, match="load them first"), lora.using(network, {"nobody": 1.0}):
        pass
    assert torch.equal(output(network), styled)


def test_toggling_between_forward_and_backward_keeps_gradients(network) -> None:
    """peft's own toggles give zero gradients here."""
    for i, name in enumerate(("style", "phi")):
        lora.attach(network, name, rank=2)
        shake(network, name, i)
    lora.stack(network, {"style": 1.0})
    phi = adapters.train_only(network, "phi")

    def gradients(toggle: bool) -> list[torch.Tensor]:
        x = torch.randn(3, 16, generator=torch.Generator().manual_seed(5))
        with lora.using(network, {"style": 1.0, "phi": 1.0}):
            loss = network.attend[0].qkv(x).square().sum()
            if not toggle:
                loss.backward()
        if toggle:
            with lora.using(network, {}):
                output(network)
            loss.backward()
        found = [p.grad.clone() for p in phi if p.grad is not None]
        network.zero_grad(set_to_none=True)
        return found

    inside, after = gradients(False), gradients(True)
    assert len(inside) == len(after) == 2
    assert all(torch.equal(a, b) and a.abs().sum() > 0 for a, b in zip(inside, after))
    assert [n for n, p in network.named_parameters() if p.requires_grad and ".phi." not in n] == []


def test_weights_scale_and_adapters_add_up(network) -> None:
    """One layer checked against W + w1 B1 A1 + w2 B2 A2 written out."""
    for i, name in enumerate(("one", "two")):
        lora.attach(network, name, rank=2)
        shake(network, name, i)
    lora.stack(network, {"one": 0.5, "two": -2.0})
    layer = network.attend[0].qkv
    x = torch.randn(3, 16, generator=torch.Generator().manual_seed(5))
    weight = layer.base_layer.weight
    for name, w in (("one", 0.5), ("two", -2.0)):
        weight = weight + w * layer.lora_B[name].weight @ layer.lora_A[name].weight
    torch.testing.assert_close(layer(x), x @ weight.T + layer.base_layer.bias, atol=1e-5, rtol=1e-5)


def test_file_round_trip_is_exact(network, tmp_path: Path) -> None:
    lora.attach(network, "subject", rank=3)
    shake(network, "subject", 0)
    lora.stack(network, {"subject": 1.0})
    wanted = output(network)
    lora.save_adapter(tmp_path / "a.safetensors", lora.adapter_state(network, "subject"))
    torch.manual_seed(0)
    fresh = SMALL.build()
    fresh.load_state_dict(
        {k.replace(".base_layer", ""): v for k, v in network.state_dict().items() if "lora_" not in k}
    )
    lora.load_state(fresh, "other_name", lora.read_adapter(tmp_path / "a.safetensors"))
    lora.stack(fresh, {"other_name": 1.0})
    assert torch.equal(output(fresh), wanted)


def test_alpha_of_foreign_files_is_honoured(network, tmp_path: Path) -> None:
    lora.attach(network, "s", rank=2)
    shake(network, "s", 0)
    state = lora.adapter_state(network, "s")
    save_file(state, tmp_path / "f.safetensors", metadata={"lora_alpha": "6"})
    read = lora.read_adapter(tmp_path / "f.safetensors")
    key = next(k for k in state if "lora_B" in k)
    assert torch.equal(read[key], state[key])
    assert {float(value) for key, value in read.items() if key.endswith(".alpha")} == {6.0}
    lora.load_state(network, "theirs", read)
    lora.stack(network, {"theirs": 1.0})
    assert network.attend[0].qkv.scaling["theirs"] == 3.0


def test_train_only_touches_one_adapter(network) -> None:
    lora.attach(network, "style", rank=2)
    lora.attach(network, "subject", rank=2)
    lora.stack(network, {"style": 1.0, "subject": 1.0})
    parameters = adapters.train_only(network, "subject")
    learning = {name for name, p in network.named_parameters() if p.requires_grad}
    assert len(learning) == len(parameters) > 0
    assert all(".subject." in name for name in learning)


def test_errors_name_the_thing(network, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without dots"):
        lora.attach(network, "a.b", rank=2)
    lora.attach(network, "style", rank=2)
    with pytest.raises(ValueError, match="there already"):
        lora.attach(network, "style", rank=2)
    with pytest.raises(ValueError, match="load them first"):
        lora.stack(network, {"nobody": 1.0})
    with pytest.raises(ValueError, match="expected a file"):
        lora.read_adapter(tmp_path / "none.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(ValueError, match="expected readable safetensors"):
        lora.read_adapter(tmp_path / "torn.safetensors")
    state = lora.adapter_state(network, "style")
    short = dict(list(state.items())[1:])
    with pytest.raises(ValueError, match="alone"):
        lora.load_state(network, "new", short)
    wide = {k: torch.cat([v, v], 1) if "lora_A" in k else v for k, v in state.items()}
    with pytest.raises(ValueError, match="shape"):
        lora.load_state(network, "newer", wide)


def test_an_adapter_of_a_network_with_words_fits_one_without() -> None:
    wordy = DenoiserConfig(**(SMALL.as_dict() | {"n_words": 4})).build()
    plain = SMALL.build()
    for network in (wordy, plain):
        lora.attach(network, "style", rank=2)
    assert adapters.adapter_state(wordy, "style").keys() == adapters.adapter_state(plain, "style").keys()
