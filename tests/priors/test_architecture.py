"""Models of another family than the one that was named, and files that are no whole model: one line, both families."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from nerf2mesh.priors import PriorConfig
from nerf2mesh.priors.foundation import architecture
from nerf2mesh.priors.foundation.components import Components
from nerf2mesh.priors.foundation.prior import FoundationPrior
from nerf2mesh.priors.foundation.resolve import resolve
from tests.priors import ldm
from tests.priors.conftest import Models

HUB_INDEX = {
    "_class_name": "StableDiffusionXLPipeline",
    "_diffusers_version": "0.19.0.dev0",
    "force_zeros_for_empty_prompt": True,
    "add_watermarker": None,
    "requires_safety_checker": True,
    "image_encoder": [None, None],
    "feature_extractor": [None, None],
    "safety_checker": [None, None],
    "boundary_ratio": 0.5,
    "name": "text",
    "empty": [],
}
"""Scalars as model_index.json has them on the hub beside the components."""


def refused(**settings: object) -> str:
    with pytest.raises(ValueError, match=r"^prior\.model: ") as error:
        resolve(PriorConfig(**settings))
    text = str(error.value)
    assert "\n" not in text and len(text) < 420, text
    return text


def changed(folder: Path, to: Path, part: str, **changes: object) -> Path:
    """A copy in which a configuration has other entries."""
    shutil.copytree(folder, to)
    path = to / part / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return to


@pytest.mark.parametrize(
    ("name", "kind", "families"),
    [
        ("sd21-base", "sdxl", ("sd", "sdxl")),
        ("sdxl", "sd", ("sdxl", "sd")),
        ("mvdream", "sd", ("mvdream", "sd")),
        ("sd15", "mvdream", ("sd", "mvdream")),
        ("mvdream", "imagedream", ("mvdream", "imagedream")),
        ("zero123", "sd", ("zero123", "sd")),
        ("sd3-medium", "flux", ("sd3", "flux")),
        ("flux-dev", "sd", ("flux", "sd")),
        ("deepfloyd-if-m", "sana", ("if", "sana")),
    ],
)
def test_a_folder_of_another_family_is_refused(name: str, kind: str, families: tuple, models: Models) -> None:
    text = refused(name=name, model=str(models.folder(kind)))
    assert f"expected a model of family {families[0]}, got one of family {families[1]} " in text
    assert text.endswith("set prior.name=auto, or give another model")


@pytest.mark.parametrize(
    ("kind", "pipeline", "more", "wanted", "got"),
    [
        ("sdxl", "StableDiffusionPipeline", {}, "sd", "sdxl"),
        ("sd", "MVDreamPipeline", {}, "mvdream", "sd"),
        ("mvdream", "StableDiffusionPipeline", {}, "sd", "mvdream"),
        ("sd", "Zero123Pipeline", {"image_encoder": ["transformers", "X"]}, "zero123", "sd"),
    ],
)
def test_shapes_decide_where_the_index_says_otherwise(
    kind: str, pipeline: str, more: dict, wanted: str, got: str, models: Models, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(models.folder(kind), tmp_path / "x"))
    index = json.loads((folder / "model_index.json").read_text()) | {"_class_name": pipeline} | more
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "image_encoder").mkdir()
    (folder / "image_encoder" / "model.safetensors").touch()
    assert f"expected a network of family {wanted}, got {got} (" in refused(model=str(folder))


@pytest.mark.parametrize(
    ("changes", "got"),
    [
        ({"in_channels": 9}, "inpainting (UNet2DConditionModel, 9 input channels)"),
        ({"in_channels": 5}, "depth-to-image"),
        ({"in_channels": 7}, "an upscaler"),
        ({"in_channels": None}, "an unknown UNet"),
        ({"class_embed_type": "projection"}, "unCLIP"),
        ({"_class_name": "UNet3DConditionModel"}, "UNet3DConditionModel"),
        ({"cross_attention_dim": 768}, "width 768, which the network reads, got 16"),
    ],
)
def test_networks_that_no_family_runs_are_named(changes: dict, got: str, models: Models, tmp_path: Path) -> None:
    folder = changed(models.folder("sd"), tmp_path / "x", "unet", **changes)
    assert got in refused(name="sd15", model=str(folder))


def test_a_name_is_offered_for_an_unknown_pipeline_only_where_its_network_is_known(
    models: Models, tmp_path: Path
) -> None:
    folder = changed(models.folder("sd"), tmp_path / "x", "unet", in_channels=9)
    index = json.loads((folder / "model_index.json").read_text()) | {"_class_name": "StableDiffusionInpaintPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index))
    assert refused(model=str(folder)).endswith("take another model")
    shutil.copy(models.folder("sd") / "unet" / "config.json", folder / "unet" / "config.json")
    assert refused(model=str(folder)).endswith("set prior.name to a known name of family sd to force it")


def test_every_family_is_known_by_its_own_network(models: Models, kind: str) -> None:
    source = resolve(models.config(kind))
    part = "unet" if source.components.has("unet") else "transformer"
    assert architecture.network_family(source.components.config(part)) == source.family


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_scalars_of_the_index_do_not_disturb_provenance(kind: str, models: Models, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models.folder(kind), tmp_path / "x"))
    own = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(HUB_INDEX | own))
    (folder / "requires_safety_checker").mkdir()
    (folder / "name").mkdir()
    source = resolve(PriorConfig(model=str(folder)))
    config = PriorConfig(cache_dir=str(tmp_path))
    asked = SimpleNamespace(source=source, components=source.components, config=config, family=source.family)
    found = FoundationPrior.about(asked)
    assert set(found["sha256"]) == {name for name, entry in own.items() if isinstance(entry, list)}
    assert all(Components.read(folder).class_name(name) == "" for name in ("requires_safety_checker", "empty"))


@pytest.mark.parametrize("content", ["[1]", "null", "3"])
def test_an_index_or_a_configuration_that_is_no_table(content: str, models: Models, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models.folder("sd"), tmp_path / "x"))
    (folder / "unet" / "config.json").write_text(content)
    assert "expected a JSON object in" in refused(model=str(folder))
    (folder / "model_index.json").write_text(content)
    assert "expected the parts of a model in" in refused(model=str(folder))


def test_a_lora_is_no_model(models: Models, tmp_path: Path) -> None:
    file = tmp_path / "ink.safetensors"
    for key in ("lora_unet_a.lora_down.weight", "unet.a.lora_A.weight", "unet.a.processor.to_q_lora.down.weight"):
        save_file({key: torch.zeros(1, 1)}, file)
        assert "got a LoRA in" in refused(model=str(file))
        assert "set lora.adapters=[" in refused(name="sd15", model=str(file), config_dir=str(models.folder("sd")))
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "got a LoRA (adapter_config.json)" in refused(model=str(tmp_path))


def test_single_files_that_lack_parts_or_are_of_another_family(tmp_path: Path, models: Models) -> None:
    file = ldm.write(tmp_path / "configs", tmp_path / "model.safetensors")
    weights, settings = load_file(file), {"model": str(file), "config_dir": str(tmp_path / "configs")}
    unet = {key: value for key, value in weights.items() if key.startswith("model.diffusion_model.")}
    save_file({key: value for key, value in weights.items() if "first_stage" not in key}, file)
    assert "got UNet and text encoder alone" in refused(**settings)
    save_file(unet, file)
    assert "got UNet alone" in refused(**settings)
    assert "got UNet alone" in refused(model=str(file)), "also where the configurations are not given yet"
    save_file({key.removeprefix("model.diffusion_model."): value for key, value in unet.items()}, file)
    assert "got a bare network alone" in refused(**settings)
    save_file(weights | {"model.diffusion_model.label_emb.0.0.weight": torch.zeros(1)}, file)
    assert "expected a network of family sd, got sdxl" in refused(**settings)
    save_file(weights | {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(32, 9, 3, 3)}, file)
    assert "expected a network of family sd, got inpainting (9 input channels)" in refused(**settings)
    file.write_bytes(b"torn")
    assert "expected readable safetensors" in refused(**settings)
