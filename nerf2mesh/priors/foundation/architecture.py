"""Which family a model is of: what its pipeline calls itself, and what its network's configuration says.

A name in `prior.name` says what the user believes; the files decide. A model of another family, and one that no family
here can run (inpainting, upscaling), is refused in one line that names both, before any weight is read. Sources: the
`config.json` and `model_index.json` that the models' pages on the hub have; the original authors' names of tensors in
single files (diffusers' `loaders/single_file_utils.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nerf2mesh.priors.foundation.components import Components, first_line
from nerf2mesh.priors.foundation.zoo import PIPELINES

NETWORKS = {"SD3Transformer2DModel": "sd3", "FluxTransformer2DModel": "flux", "SanaTransformer2DModel": "sana"}
UNETS = {3: "if", 4: "sd", 5: "depth-to-image", 6: "a second stage of if", 7: "an upscaler", 8: "zero123"}
UNETS |= {9: "inpainting"}
"""By input channels of a UNet2DConditionModel."""
_PARTS = {
    "UNet": ("model.diffusion_model.",),
    "VAE": ("first_stage_model.", "vae."),
    "text encoder": ("cond_stage_model.", "conditioner.embedders.", "text_encoders."),
}
_LORA = ("lora_", ".lora.", "_lora.", "hada_", "lokr_")
_BARE = ("input_blocks.", "down_blocks.", "double_blocks.", "joint_blocks.", "transformer_blocks.")


def check_pipeline(components: Components, family: str, origin: str) -> None:
    """ValueError where model_index.json is of another family than the one that was named."""
    pipeline = str(components.index.get("_class_name", ""))
    own = PIPELINES.get(pipeline)
    if own == "mvdream" and components.has("image_encoder"):
        own = "imagedream"
    if own is not None and own != family.removeprefix("stable-"):
        raise ValueError(
            f"prior.model: expected a model of family {family}, got one of family {own} ({pipeline}) in {origin}; "
            "set prior.name=auto, or give another model"
        )


def nearest_family(components: Components) -> str | None:
    """The family whose network a model of an unknown pipeline has; None where no family has it."""
    name = next((part for part in ("unet", "transformer") if components.has(part)), None)
    own = network_family(components.config(name)) if name else ""
    return own if own in PIPELINES.values() else None


def check_network(components: Components, family: str, origin: str) -> None:
    """ValueError where the network, by its configuration, is of another family, or does not fit its own parts."""
    name = "transformer" if family in NETWORKS.values() else "unet"
    config = components.config(name)
    own = network_family(config)
    if own != family.removeprefix("stable-"):
        raise ValueError(
            f"prior.model: expected a network of family {family}, got {own} ({_about(config)}) in {origin}; "
            f"give a model of family {family}" + (f", or name one of family {own}" if own in PIPELINES.values() else "")
        )
    told, width = config.get("cross_attention_dim", config.get("context_dim")), _text_width(components, family)
    if isinstance(told, int) and width and told != width:
        raise ValueError(
            f"prior.model: expected text encoders of width {told}, which the network reads, got {width} in {origin}; "
            "its parts are of different models: get the whole model"
        )


def network_family(config: Mapping[str, Any]) -> str:
    """From a network's config.json: a family of `PIPELINES`, or in words what else it is."""
    kind, channels = str(config.get("_class_name", "")), config.get("in_channels", 4)
    if "model_channels" in config or "camera_dim" in config:
        return "imagedream" if config.get("ip_dim") else "mvdream"
    if kind in NETWORKS:
        controlled = kind.startswith("Flux") and config.get("out_channels") not in (None, channels)
        return "a FLUX for inpainting or control" if controlled else NETWORKS[kind]
    if kind != "UNet2DConditionModel":
        return kind or "a network without a name"
    if channels == 4 and config.get("class_embed_type"):
        return "unCLIP"
    if channels == 4 and config.get("addition_embed_type") == "text_time":
        return "sdxl"
    return UNETS.get(channels, "an unknown UNet") if isinstance(channels, int) else "an unknown UNet"


def check_single_file(path: Path, family: str | None = None) -> None:
    """ValueError where a file is no whole checkpoint (of `family`), by the names and shapes of its tensors.

    SD3's, FLUX's and SANA's files may come without text encoders: their parts are not asked for.
    """
    shapes = _shapes(path)
    if any(mark in name for name in shapes for mark in _LORA):
        raise ValueError(
            f"prior.model: expected a whole model, got a LoRA in {path}; set lora.adapters=[{path}], "
            "and prior.model to the model that it was trained on"
        )
    whole = any("diffusion_model." in name or "joint_blocks." in name or "double_blocks." in name for name in shapes)
    unet = any("input_blocks." in name for name in shapes)
    if family not in ("sd", "sdxl") and (family is not None or (whole and not unet)):
        return
    lacking = [part for part, prefixes in _PARTS.items() if not any(name.startswith(prefixes) for name in shapes)]
    if lacking:
        held = [part for part in _PARTS if part not in lacking]
        held = held or (["a bare network"] if any(name.startswith(_BARE) for name in shapes) else ["none of them"])
        raise ValueError(
            f"prior.model: expected UNet, VAE and text encoder in {path}, got {' and '.join(held)} alone; "
            "give a whole checkpoint, or a folder in the diffusers layout"
        )
    prefix = "model.diffusion_model."
    channels = (*shapes.get(prefix + "input_blocks.0.0.weight", ()), 4, 4)[1]
    own = "sdxl" if prefix + "label_emb.0.0.weight" in shapes else UNETS.get(channels, "an unknown UNet")
    if family is not None and own != family:
        raise ValueError(
            f"prior.model: expected a network of family {family}, got {own} ({channels} input channels) in {path}; "
            f"give a checkpoint of family {family}, or the prior.name and prior.config_dir that are its own"
        )


def refuse_adapter(folder: Path) -> None:
    """ValueError for a folder that holds a LoRA instead of a model."""
    found = [name for name in ("adapter_config.json", "pytorch_lora_weights.safetensors") if (folder / name).is_file()]
    if found and not (folder / "model_index.json").is_file():
        raise ValueError(
            f"prior.model: expected a whole model, got a LoRA ({found[0]}) in {folder}; set lora.adapters=[{folder}], "
            "and prior.model to the model that it was trained on"
        )


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Of all tensors; none is read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"prior.model: expected readable safetensors, got {path} ({first_line(error)}); get it anew"
        ) from error


def _text_width(components: Components, family: str) -> int | None:
    """Of the words that the network is told; None where that is not simply the encoders' own."""
    names = {"sd": ("text_encoder",), "sdxl": ("text_encoder", "text_encoder_2"), "mvdream": ("text_encoder",)}
    widths = [components.config(name).get("hidden_size") for name in names.get(family, ())]
    known = [width for width in widths if isinstance(width, int)]
    return sum(known) if known and len(known) == len(widths) else None


def _about(config: Mapping[str, Any]) -> str:
    return f"{config.get('_class_name', 'without a name')}, {config.get('in_channels', 4)} input channels"
