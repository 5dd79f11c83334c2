"""(peft | diffusers | kohya file) x (SD | SDXL | SD3 | FLUX | built-in) x (load, stack, save, reload, learn).

The truth is W + alpha / r * up @ down written into the weights by hand (`nets.merged`).
"""

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nerf2mesh import lora
from nerf2mesh.lora import adapters
from tests.lora.nets import FAMILIES, WRITERS, Family, merged, random_change

WITHOUT_EFFECT = {"sd3": "transformer_blocks.1.attn.add_q_proj"}
"""The last block of SD3 throws its text queries away: nothing that sits on them can learn."""
CELLS = [
    pytest.param(file_format, name, marks=pytest.mark.slow) if name == "sdxl" else (file_format, name)
    for file_format in WRITERS
    for name in FAMILIES
]
"""SDXL's network is of the class of SD's."""
_BUILT: dict[str, torch.nn.Module] = {}


def built(name: str) -> tuple[Family, torch.nn.Module]:
    if name not in _BUILT:
        _BUILT[name] = FAMILIES[name].build()
    return FAMILIES[name], copy.deepcopy(_BUILT[name])


def close(got: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(got, wanted, atol=2e-5 * float(wanted.abs().max()), rtol=0.0)


@pytest.mark.parametrize(("file_format", "name"), CELLS)
@torch.no_grad()
def test_cell(file_format: str, name: str, tmp_path: Path) -> None:
    family, network = built(name)
    prior, bare = SimpleNamespace(network=network), family.call(network)
    one, two = (random_change(family, network, seed) for seed in (1, 2))
    files = [WRITERS[file_format](tmp_path / f"{i}", family, change) for i, change in enumerate((one, two))]

    # load
    loaded = lora.load_adapter(prior, "one", files[0])
    assert loaded.applied == {"denoiser": len(family.modules)}
    assert loaded.message() == ""
    wanted = family.call(merged(built(name)[1], [(one, 1.0)]))
    assert (wanted - bare).abs().max() > 0.01 * bare.abs().max(), "the change must be seen"
    got = family.call(network)
    close(got, wanted)
    for module, (down, _, alpha) in one.items():
        assert (adapters.layers_of(network, "one")[module].rank, len(down)) == (len(down), len(down))
        assert adapters.layers_of(network, "one")[module].alpha == alpha

    # stack
    lora.load_adapter(prior, "two", files[1])
    lora.stack(network, {"one": 0.5, "two": -1.5})
    close(family.call(network), family.call(merged(built(name)[1], [(one, 0.5), (two, -1.5)])))
    lora.stack(network, {})
    assert torch.equal(family.call(network), bare), "without adapters the network is the bare one, bit for bit"

    # save and reload, in the same format and in our own: bit for bit
    target = tmp_path / "out" if file_format == "peft" else tmp_path / "out.safetensors"
    lora.export_adapter(target, network, "one", file_format)
    lora.save_adapter(tmp_path / "own.safetensors", lora.adapter_state(network, "one"))
    for path in (target, tmp_path / "own.safetensors"):
        fresh = SimpleNamespace(network=built(name)[1])
        assert lora.load_adapter(fresh, "again", path).applied == {"denoiser": len(family.modules)}
        again = adapters.layers_of(fresh.network, "again")
        for module, layer in adapters.layers_of(network, "one").items():
            assert torch.equal(again[module].down, layer.down) and torch.equal(again[module].up, layer.up)
            assert again[module].alpha == layer.alpha
        assert torch.equal(family.call(fresh.network), got)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_adapter_learns(name: str, tmp_path: Path) -> None:
    """Each layer's up gets a gradient at the start, and its down once up is not zero; nothing else learns."""
    family, network = built(name)
    lora.load_adapter(
        SimpleNamespace(network=network),
        "style",
        WRITERS["kohya"](tmp_path / "k", family, random_change(family, network, 1)),
    )
    lora.attach(network, "phi", rank=2)
    lora.stack(network, {"style": 1.0, "phi": 1.0})
    for learner in ("phi", "style"):
        parameters = adapters.train_only(network, learner)
        family.call(network).square().mean().backward()
        named = {key: p.grad for key, p in network.named_parameters() if p.requires_grad}
        assert len(named) == len(parameters)
        assert all(g is not None for g in named.values())
        silent = {key.split(".lora_")[0] for key, g in named.items() if not g.abs().sum() > 0 and not _first(key)}
        assert silent == ({WITHOUT_EFFECT[name]} if name in WITHOUT_EFFECT else set())
        assert all(p.grad is None for p in network.parameters() if not p.requires_grad)
        network.zero_grad(set_to_none=True)


def _first(key: str) -> bool:
    """A fresh adapter's up is zero, so its down has no gradient in the first step."""
    return ".lora_A.phi." in key
