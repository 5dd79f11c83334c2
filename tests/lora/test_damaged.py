"""LoRA files as people have them: with foreign tensors, other prefixes, renamed, torn, for another network."""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from nerf2mesh import lora
from nerf2mesh.lora import adapters
from nerf2mesh.lora.io.files import read
from tests.lora.nets import WRITERS, noise, random_change, write_kohya
from tests.lora.test_matrix import built, close

FOREIGN = {
    "bundle_emb.cat.string_to_param.*": noise(1, 2, 768),
    "lora_unet_mid_block_attentions_0_norm.diff": noise(2, 16),
    "lora_unet_conv_out.diff_b": noise(2, 4),
    "base_model.model.conv_norm_out.modules_to_save.weight": noise(3, 8),
    "base_model.model.time_embedding.linear_1.weight": noise(4, 8, 8),
}


def kohya(folder: Path, more: dict[str, Tensor] | None = None, name: str = "sd") -> Path:
    family, network = built(name)
    return write_kohya(folder, family, random_change(family, network, 1), more)


def one_line(error: pytest.ExceptionInfo[ValueError]) -> str:
    text = str(error.value)
    assert "\n" not in text and text.startswith("lora.adapters: ") and len(text) < 700, text
    return text


def prior(name: str = "sd") -> SimpleNamespace:
    return SimpleNamespace(network=built(name)[1])


@pytest.mark.parametrize("key", list(FOREIGN))
@torch.no_grad()
def test_one_foreign_tensor_is_left_out_with_a_warning(key: str, tmp_path: Path) -> None:
    family, _ = built("sd")
    plain, mixed = prior(), prior()
    lora.load_adapter(plain, "a", kohya(tmp_path / "plain"))
    with pytest.warns(UserWarning, match="left out 1 ") as caught:
        lora.load_adapter(mixed, "a", kohya(tmp_path / "mixed", {key: FOREIGN[key]}))
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    assert torch.equal(family.call(mixed.network), family.call(plain.network))


@torch.no_grad()
def test_layers_of_another_kind_are_left_out_whole(tmp_path: Path) -> None:
    """The low rank of a DoRA layer without its magnitude would be another change."""
    more = {"lora_unet_conv_in.lora_down.weight": noise(1, 2, 4, 3, 3)}
    more |= {"lora_unet_conv_in.lora_up.weight": noise(2, 8, 2, 1, 1), "lora_unet_conv_in.alpha": torch.tensor(2.0)}
    file = kohya(tmp_path / "k", more | {"lora_unet_conv_in.dora_scale": noise(3, 8)})
    target = prior()
    with pytest.warns(UserWarning, match=r"left out 1 DoRA \(conv_in\)"):
        lora.load_adapter(target, "a", file)
    assert "conv_in" not in adapters.layers_of(target.network, "a")


@torch.no_grad()
def test_peft_prefixes_behind_the_parts_name_fit(tmp_path: Path) -> None:
    """`unet.base_model.model.` comes from scripts that save a PeftModel's own state."""
    family, network = built("sd")
    folder = WRITERS["peft"](tmp_path / "peft", family, random_change(family, network, 1))
    plain, prefixed = prior(), prior()
    lora.load_adapter(plain, "a", folder)
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file({f"unet.{key}": value for key, value in tensors.items()}, folder / "adapter_model.safetensors")
    assert lora.load_adapter(prefixed, "a", folder).unmatched == ()
    assert torch.equal(family.call(prefixed.network), family.call(plain.network))


@pytest.mark.parametrize("config_name", ["adapter_config.json", "ink.json", "ink_config.json"])
@torch.no_grad()
def test_a_renamed_peft_file_finds_its_configuration(config_name: str, tmp_path: Path) -> None:
    family, network = built("sd")
    folder = WRITERS["peft"](tmp_path / "peft", family, random_change(family, network, 1))
    plain, renamed = prior(), prior()
    lora.load_adapter(plain, "a", folder)
    (folder / "adapter_model.safetensors").rename(folder / "ink.safetensors")
    (folder / "adapter_config.json").rename(folder / config_name)
    lora.load_adapter(renamed, "a", folder / "ink.safetensors")
    close(family.call(renamed.network), family.call(plain.network))


def test_a_folder_with_a_renamed_peft_file_is_read(tmp_path: Path) -> None:
    family, network = built("sd")
    folder = WRITERS["peft"](tmp_path / "peft", family, random_change(family, network, 1))
    (folder / "adapter_model.safetensors").rename(folder / "ink.safetensors")
    assert read(folder).path.name == "ink.safetensors"


@torch.no_grad()
def test_alpha_zero_turns_a_layer_off(tmp_path: Path) -> None:
    """alpha / r up down is zero there; the other layers are as they were, and weights of the stack can be asked for."""
    family, _ = built("sd")
    more = {"lora_unet_conv_out.lora_down.weight": noise(1, 2, 8, 3, 3)}
    more |= {"lora_unet_conv_out.lora_up.weight": noise(2, 4, 2, 1, 1), "lora_unet_conv_out.alpha": torch.tensor(0.0)}
    plain, target = prior(), prior()
    lora.load_adapter(plain, "a", kohya(tmp_path / "plain"))
    with pytest.warns(UserWarning, match=r"1 layers that alpha 0 turns off \(conv_out\)"):
        lora.load_adapter(target, "a", kohya(tmp_path / "off", more))
    assert lora.stacked(target.network) == {"a": 1.0}
    assert torch.equal(family.call(target.network), family.call(plain.network))
    tensors = load_file(kohya(tmp_path / "all"))
    zeros = {key: value * 0 if key.endswith(".alpha") else value for key, value in tensors.items()}
    save_file(zeros, tmp_path / "zeros.safetensors")
    with pytest.raises(ValueError, match=r"expected layers of this prior, got none: .*alpha 0 turns off") as error:
        lora.load_adapter(prior(), "a", tmp_path / "zeros.safetensors")
    one_line(error)


def test_numbers_that_are_none_are_blamed_on_the_file(tmp_path: Path) -> None:
    tensors = load_file(kohya(tmp_path / "k"))
    key = next(key for key in tensors if key.endswith("lora_up.weight"))
    for value in (float("nan"), float("inf")):
        tensors[key].view(-1)[0] = value
        save_file(tensors, tmp_path / "nan.safetensors")
        with pytest.raises(
            ValueError, match=rf"expected finite numbers in {key} of .*nan\.safetensors, got NaN"
        ) as error:
            lora.load_adapter(prior(), "a", tmp_path / "nan.safetensors")
        one_line(error)


def test_a_small_share_of_layers_that_fit_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    n = len(random_change(*built("sd"), 1))
    elsewhere = {}
    for i in range(n + 1):
        elsewhere |= {f"lora_unet_elsewhere_{i}.lora_down.weight": noise(i, 2, 4)}
        elsewhere |= {f"lora_unet_elsewhere_{i}.lora_up.weight": noise(i, 4, 2)}
    target = prior()
    with pytest.raises(ValueError, match=rf"at least 50% of the layers in .*, got {n} of {2 * n + 1} \(") as error:
        lora.load_adapter(target, "a", kohya(tmp_path / "few", elsewhere))
    one_line(error)
    assert lora.names(target.network) == []


def peft_with(folder: Path, config: object) -> Path:
    family, network = built("sd")
    folder = WRITERS["peft"](folder, family, random_change(family, network, 1))
    (folder / "adapter_config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"lora_alpha": 4, "alpha_pattern": {"((a+)+)+b": 2}}, "expected names of layers"),
        ({"lora_alpha": 4, "alpha_pattern": {"(.*)*x": 2}}, "expected names of layers"),
        ({"lora_alpha": 4, "alpha_pattern": ["a"]}, "expected a table of alpha_pattern"),
        ({"lora_alpha": "many"}, "expected a number as alpha"),
        ({"lora_alpha": None}, "expected a number as alpha"),
        ('{"lora_alpha": NaN}', "expected a number as alpha"),
        ([1], "expected a JSON object"),
        ("{", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
    ],
)
def test_configurations_of_strangers_are_data(config: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read(peft_with(tmp_path / "peft", config))
    one_line(error)


@pytest.mark.parametrize(
    "pattern", ["to_out.0", "NAME", "^(NAME|nowhere)", r".*\.to_out\.0", r"^NAME$", r"to_out\.\d+"]
)
def test_alpha_patterns_mean_what_peft_takes_them_for(pattern: str, tmp_path: Path) -> None:
    """Against peft's own rule, `re.match(rf"(.*\\.)?({pattern})$", name)`, where the pattern is one that we read."""
    folder = peft_with(tmp_path / "peft", {"lora_alpha": 4})
    names = list(read(folder).parts["denoiser"])
    pattern = pattern.replace("NAME", re.escape(next(name for name in names if name.endswith(".to_out.0"))))
    (folder / "adapter_config.json").write_text(json.dumps({"lora_alpha": 4, "alpha_pattern": {pattern: 9}}))
    wanted = {name: 9.0 if re.match(rf"(.*\.)?({pattern})$", name) else 4.0 for name in names}
    assert {name: layer.alpha for name, layer in read(folder).parts["denoiser"].items()} == wanted
    assert 9.0 in wanted.values()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {"lora_unet_conv_in.alpha": torch.ones(3)}, r"expected one number in lora_unet_conv_in\.alpha"),
        (lambda t: {"lora_unet_conv_in.lora_down.weight": torch.zeros(2)}, "expected floats of 2 to 5 axes"),
        (lambda t: {"lora_unet_conv_in.lora_down.weight": torch.zeros(0, 4)}, "expected floats of 2 to 5 axes"),
        (lambda t: {"lora_unet_conv_in.lora_down.weight": torch.zeros(2, 4, dtype=torch.int8)}, "got int8"),
        (lambda t: {"lora_unet_conv_out.lora_down.weight": torch.zeros(2, 8)}, "expected up of conv_out"),
        (lambda t: {f"unet.{k[10:]}": v.clone() for k, v in t.items()}, "expected one adapter in"),
    ],
)
def test_torn_layers_are_named(change: Callable, message: str, tmp_path: Path) -> None:
    tensors = load_file(kohya(tmp_path / "k"))
    save_file(tensors | change(tensors), tmp_path / "torn.safetensors")
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path / "torn.safetensors")
    assert "torn.safetensors" in one_line(error)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_give_layers_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Bytes changed or cut anywhere in a small file."""
    folder = tmp_path_factory.getbasetemp()
    pair = {"unet.a.lora_A.weight": noise(1, 2, 4), "unet.a.lora_B.weight": noise(2, 4, 2)}
    whole = bytearray(save(pair, metadata={"format": "pt", "lora_adapter_metadata": '{"unet.lora_alpha": 2}'}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    file = folder / "fuzzed.safetensors"
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = said_of(file)
    assert outcome == "read" or (outcome.startswith("lora.adapters: ") and "\n" not in outcome)


def said_of(file: Path) -> str:
    """ "read", or the refusal; any other error goes on."""
    try:
        read(file)
    except ValueError as error:
        return str(error)
    return "read"
