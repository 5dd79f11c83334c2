"""Files of others, read and written: diffusers' and peft's own readers and converters are the truth."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nerf2mesh import lora
from nerf2mesh.lora import LoraConfig, adapters
from nerf2mesh.lora.io import naming
from nerf2mesh.lora.io.export import joined
from nerf2mesh.lora.io.files import read
from nerf2mesh.lora.io.load import fitted
from nerf2mesh.lora.io.manifest import Manifest, Source
from nerf2mesh.lora.lowrank import LowRank
from nerf2mesh.priors import PriorDefaults
from nerf2mesh.priors.base import TextChange
from tests.lora.nets import FAMILIES, WRITERS, initialized, merged, noise, random_change, write_kohya
from tests.lora.test_matrix import built, close


class Checkpoint(dict):
    """Weights in the original layout, zeros for those that were not given (the converters ask for all)."""

    def pop(self, key):
        return super().pop(key) if key in self else torch.zeros(21504 if "linear1" in key else 48, 1)


def test_names_of_stability_unet_are_those_of_diffusers_converter() -> None:
    from diffusers.loaders import lora_conversion_utils as convert
    from diffusers.utils.state_dict_utils import convert_unet_state_dict_to_peft

    network = built("sdxl")[1]
    entries = naming.original_names(network)
    assert {module for entry in entries for module in entry.modules} == set(naming.layers(network))
    for entry in entries:
        key = "lora_unet_" + naming.flat(entry.name)
        pair = {f"{key}.lora_down.weight": torch.zeros(1, 1), f"{key}.lora_up.weight": torch.zeros(1, 1)}
        theirs = convert._maybe_map_sgm_blocks_to_diffusers(pair, network.config)
        theirs = convert_unet_state_dict_to_peft(convert._convert_non_diffusers_lora_to_diffusers(theirs)[0])
        assert f"unet.{entry.modules[0]}.lora_A.weight" in theirs, entry


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_joined_layers_are_those_of_diffusers_checkpoint_converter(name: str) -> None:
    """A checkpoint that holds nothing but the dense changes, converted by diffusers, against our taking apart."""
    from diffusers.loaders import single_file_utils as convert

    network = built(name)[1]
    convert_all = {
        "sd3": convert.convert_sd3_transformer_checkpoint_to_diffusers,
        "flux": convert.convert_flux_transformer_checkpoint_to_diffusers,
    }[name]
    layers, checkpoint = naming.layers(network), Checkpoint()
    given = {}
    for i, entry in enumerate(naming.original_names(network)):
        rows = sum(layers[module].weight.shape[0] for module in entry.modules)
        rest = layers[entry.modules[0]].weight.shape[1:]
        given[entry.name] = LowRank(noise(i, 2, *rest), noise(i + 1000, rows, 2, *(1,) * (len(rest) - 1)), 3.0)
        if "linear1" not in entry.name:  # diffusers' converter has FLUX's full size written in
            checkpoint[f"{entry.name}.weight"] = given[entry.name].delta()
    ours, unmatched = fitted(given, network)
    assert unmatched == [] and set(ours) == set(layers)
    theirs = convert_all(checkpoint)
    for module in layers:
        if not (module.startswith("single_") and module.endswith(("to_q", "to_k", "to_v", "proj_mlp"))):
            torch.testing.assert_close(ours[module].delta(), theirs[f"{module}.weight"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["sd", "sdxl"])
@torch.no_grad()
def test_kohya_export_is_read_by_diffusers_with_alpha(name: str, tmp_path: Path) -> None:
    from diffusers.loaders import StableDiffusionLoraLoaderMixin, StableDiffusionXLLoraLoaderMixin

    family, network = built(name)
    change = random_change(
        family, network, 1
    )  # one alpha: diffusers' reader loses those of attention where they differ
    adapters.load_layers(network, "a", {m: LowRank(down, up, 7.0) for m, (down, up, _) in change.items()})
    file = lora.export_adapter(tmp_path / "out.safetensors", network, "a", "kohya")
    mixin = StableDiffusionLoraLoaderMixin if name == "sd" else StableDiffusionXLLoraLoaderMixin
    theirs = built(name)[1]
    state, alphas = mixin.lora_state_dict(load_file(file), unet_config=theirs.config)
    theirs.load_lora_adapter(state, network_alphas=alphas, prefix="unet")
    close(family.call(theirs), family.call(network))


@torch.no_grad()
def test_flux_export_is_read_by_diffusers_with_alpha(tmp_path: Path) -> None:
    """Without the layers for which diffusers' reader has FLUX's full size written in, or forgets alpha."""
    from diffusers.loaders import FluxLoraLoaderMixin

    family, network = built("flux")
    change = {m: c for m, c in random_change(family, network, 1).items() if "blocks" in m}
    change = {m: c for m, c in change.items() if "single" not in m or "proj_out" in m}
    layers = {m: LowRank(*c) for m, c in change.items()}
    adapters.load_layers(network, "a", layers)
    file = lora.export_adapter(tmp_path / "out.safetensors", network, "a", "kohya")
    theirs = built("flux")[1]
    theirs.load_lora_adapter(FluxLoraLoaderMixin.lora_state_dict(load_file(file)), prefix="transformer")
    close(family.call(theirs), family.call(network))


@pytest.mark.parametrize("name", ["sd", "sdxl", "sd3", "flux"])
@pytest.mark.filterwarnings("ignore:While injecting")  # diffusers' matching by name's end also finds empty layers
@torch.no_grad()
def test_diffusers_export_is_read_by_diffusers_with_alpha(name: str, tmp_path: Path) -> None:
    family, network = built(name)
    lora.load_adapter(SimpleNamespace(network=network), "a", _kohya(tmp_path / "in", name))
    file = lora.export_adapter(tmp_path / "out.safetensors", network, "a", "diffusers")
    theirs = built(name)[1]
    theirs.load_lora_adapter(str(tmp_path), weight_name=file.name, prefix=family.part, use_safetensors=True)
    close(family.call(theirs), family.call(network))


@pytest.mark.parametrize("name", ["sd", "builtin"])
@torch.no_grad()
def test_peft_export_is_read_by_peft_with_alpha(name: str, tmp_path: Path) -> None:
    from peft import PeftModel

    family, network = built(name)
    lora.load_adapter(SimpleNamespace(network=network), "a", _kohya(tmp_path / "in", name))
    lora.export_adapter(tmp_path / "out", network, "a", "peft")
    theirs = PeftModel.from_pretrained(built(name)[1], str(tmp_path / "out"), adapter_name="theirs")
    close(family.call(theirs.base_model.model), family.call(network))


def _kohya(folder: Path, name: str) -> Path:
    family, network = built(name)
    return write_kohya(folder, family, random_change(family, network, 1))


def test_joined_layers_of_different_downs_add_their_ranks() -> None:
    """q and v adapted, k not, with different ranks and alphas: the joined change is the stacked one."""
    q, v = LowRank(noise(1, 2, 5), noise(2, 3, 2), 3.0), LowRank(noise(3, 4, 5), noise(4, 3, 4), 1.0)
    layer = joined(("q", "k", "v"), {"q": q, "v": v}, {"q": 3, "k": 3, "v": 3})
    torch.testing.assert_close(layer.delta(), torch.cat([q.delta(), torch.zeros(3, 5), v.delta()]))


def test_kernel_in_the_middle_is_folded_in(tmp_path: Path) -> None:
    """LyCORIS' convolutions with a core tensor: W_oi.. = up_or mid_rs.. down_si."""
    network = built("sd")[1]
    name, weight = (
        "down_blocks_0_resnets_1_conv1",
        dict(network.named_modules())["down_blocks.0.resnets.1.conv1"].weight,
    )
    down, mid, up = noise(1, 3, weight.shape[1], 1, 1), noise(2, 3, 3, 3, 3), noise(3, weight.shape[0], 3, 1, 1)
    parts = {"lora_down": down, "lora_mid": mid, "lora_up": up}
    tensors = {f"lora_unet_{name}.{part}.weight": value for part, value in parts.items()}
    save_file(tensors | {f"lora_unet_{name}.alpha": torch.tensor(1.5)}, tmp_path / "a.safetensors")
    lora.load_adapter(SimpleNamespace(network=network), "a", tmp_path / "a.safetensors")
    dense = torch.einsum("or,rskl,si->oikl", up[:, :, 0, 0], mid, down[:, :, 0, 0]) * 1.5 / 3
    layer = adapters.layers_of(network, "a")["down_blocks.0.resnets.1.conv1"]
    torch.testing.assert_close(layer.delta(), dense, atol=1e-5, rtol=1e-5)


def test_old_diffusers_names_and_kernels_of_size_one(tmp_path: Path) -> None:
    network, block = built("sd")[1], "down_blocks.1.attentions.0"
    attention = f"unet.{block}.transformer_blocks.0.attn1.processor.to_out_lora"
    weights = {f"{attention}.down.weight": noise(1, 2, 16), f"{attention}.up.weight": noise(2, 16, 2)}
    flat = {
        f"unet.{block}.proj_in.lora.down.weight": noise(3, 2, 16),
        f"unet.{block}.proj_in.lora.up.weight": noise(4, 16, 2),
    }
    save_file(weights | flat, tmp_path / "old.safetensors")
    lora.load_adapter(SimpleNamespace(network=network), "a", tmp_path / "old.safetensors")
    layers = adapters.layers_of(network, "a")
    assert set(layers) == {f"{block}.transformer_blocks.0.attn1.to_out.0", f"{block}.proj_in"}
    assert layers[f"{block}.proj_in"].down.shape == (2, 16, 1, 1)  # this network has convolutions there


class WithWords(PriorDefaults):
    """A prior that keeps one text encoder, changed at once."""

    def __init__(self, network: nn.Module, encoder: nn.Module) -> None:
        self.network, self.encoder = network, encoder

    def change_text_encoder(self, part: str, adapter: str, change: TextChange) -> bool:
        if part == "text_encoder":
            change.apply(self.encoder)
        return part == "text_encoder"


@torch.no_grad()
def test_text_encoder_keys_are_applied_where_the_encoder_is_and_reported_where_not(tmp_path: Path) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    encoder = initialized(CLIPTextModel(CLIPTextConfig(vocab_size=20, max_position_embeddings=8, **sizes, **special)))
    module = next(path for path in naming.layers(encoder) if path.endswith("layers.0.self_attn.q_proj"))
    more = {"lora_down.weight": noise(1, 2, 8), "lora_up.weight": noise(2, 8, 2), "alpha": torch.tensor(6.0)}
    key = "text_model_encoder_layers_0_self_attn_q_proj"
    more = {f"lora_te1_{key}.{part}": v for part, v in more.items()} | {
        f"lora_te2_{key}.{part}": v for part, v in more.items()
    }
    family, network = built("sd")
    file = write_kohya(tmp_path / "k", family, random_change(family, network, 1), more)
    tokens = torch.tensor([[0, 5, 7, 1]])
    wanted = merged(copy.deepcopy(encoder), [({module: (noise(1, 2, 8), noise(2, 8, 2), 6.0)}, 1.0)])(tokens)[0]
    prior = WithWords(network, encoder)
    with pytest.warns(UserWarning, match="1 layers of text_encoder_2, which is not loaded"):
        loaded = lora.load_adapter(prior, "a", file)
    assert loaded.applied["text_encoder"] == 1 and loaded.skipped == {"text_encoder_2": 1}
    close(encoder(tokens)[0], wanted)


def test_hot_swap_keeps_parameters_weights_and_neighbors() -> None:
    family, network = built("sd")
    changes = [{m: LowRank(*c) for m, c in random_change(family, network, seed).items()} for seed in (1, 2, 3)]
    for name, layers in zip(("a", "b"), changes):
        adapters.load_layers(network, name, layers)
    lora.stack(network, {"a": 0.5, "b": 2.0})
    before = [id(p) for p in network.parameters()]
    adapters.load_layers(network, "a", changes[2])
    assert [id(p) for p in network.parameters()] == before, "same layers, ranks and alphas: the very parameters"
    swapped = family.call(network)
    fewer = dict(list(changes[2].items())[:3])
    adapters.load_layers(network, "a", fewer)
    assert set(adapters.layers_of(network, "a")) == set(fewer)
    assert lora.stacked(network) == {"a": 0.5, "b": 2.0}
    assert not torch.equal(family.call(network), swapped)
    lora.remove(network, "a")
    assert lora.names(network) == ["b"] and lora.stacked(network) == {"b": 2.0}
    strengths = [({m: (x.down, x.up, x.alpha) for m, x in changes[1].items()}, 2.0)]
    close(family.call(network), family.call(merged(built("sd")[1], strengths)))


def test_manifest_stands_in_the_header_and_beside(tmp_path: Path) -> None:
    network = built("builtin")[1]
    lora.attach(network, "style", rank=2)
    source = Source(source="drawer", licence="CC0-1.0", sha256="ab")
    manifest = Manifest(title="ink", base="builtin", licence="CC0-1.0", settings={"rank": 2}, sources=[source])
    file = lora.export_adapter(tmp_path / "ink.safetensors", network, "style", "kohya", manifest=manifest)
    assert read(file).manifest == json.loads((tmp_path / "ink.manifest.json").read_text())
    assert read(file).manifest["sources"][0]["licence"] == "CC0-1.0"
    assert read(file).header["modelspec.title"] == "ink"
    again = lora.export_adapter(tmp_path / "again/ink.safetensors", network, "style", "kohya", manifest=manifest)
    assert again.read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"lora_unet_conv_in.dora_scale": torch.zeros(1)}, "DoRA"),
        ({"lora_unet_conv_in.hada_w1_a": torch.zeros(1)}, "LoHa"),
        ({"lora_unet_conv_in.lora_down.weight": torch.zeros(1, 4, 3, 3)}, "expected up of conv_in"),
        ({"conv_in.weight": torch.zeros(1)}, "expected the tensors of a LoRA"),
    ],
)
def test_files_that_are_no_plain_lora_are_refused(tensors: dict, message: str, tmp_path: Path) -> None:
    save_file(tensors, tmp_path / "f.safetensors")
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "f.safetensors")


def test_foreign_files_and_pickles_are_refused_and_leftovers_named(tmp_path: Path) -> None:
    (tmp_path / "p.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match="pickle"):
        read(tmp_path / "p.bin")
    with pytest.raises(ValueError, match="expected one of adapter_model"):
        read(tmp_path)
    file = _kohya(tmp_path / "k", "flux")
    with pytest.raises(ValueError, match=r"8 layers are not on this prior \(.*use an adapter that was trained"):
        lora.load_adapter(SimpleNamespace(network=built("sd")[1]), "a", file)
    family, network = built("sd")
    extra = {"lora_unet_nowhere.lora_down.weight": noise(1, 2, 4), "lora_unet_nowhere.lora_up.weight": noise(1, 4, 2)}
    file = write_kohya(tmp_path / "more", family, random_change(family, network, 1), extra)
    with pytest.warns(UserWarning, match=r"1 layers are not on this prior \(nowhere\)"):
        assert lora.load_adapter(SimpleNamespace(network=network), "a", file).unmatched == ("nowhere",)


def test_a_peft_file_without_its_configuration_is_refused(tmp_path: Path) -> None:
    """Its alpha would have to be guessed."""
    family, network = built("sd")
    folder = WRITERS["peft"](tmp_path / "peft", family, random_change(family, network, 1))
    (folder / "adapter_config.json").unlink()
    with pytest.raises(ValueError, match=r"expected adapter_config\.json"):
        read(folder)


def test_a_file_for_the_text_encoder_alone_leaves_the_stack_empty(tmp_path: Path) -> None:
    words = nn.Sequential(nn.Linear(4, 4))
    prior = WithWords(built("sd")[1], words)
    tensors = {"lora_te_0.lora_down.weight": noise(1, 2, 4), "lora_te_0.lora_up.weight": noise(2, 4, 2)}
    save_file(tensors, tmp_path / "words.safetensors")
    config = LoraConfig(adapters=[str(tmp_path / "words.safetensors")])
    assert lora.load_adapter(prior, lora.style_name(0), config.adapters[0]).applied == {"text_encoder": 1}
    assert lora.active(prior.network, config) == {}


def test_half_precision_networks_carry_float32_adapters() -> None:
    network = FAMILIES["sd"].build().to(torch.bfloat16)
    lora.attach(network, "a", rank=2)
    assert {p.dtype for key, p in network.named_parameters() if "lora_" in key} == {torch.float32}
    assert network.conv_in.weight.dtype == torch.bfloat16
