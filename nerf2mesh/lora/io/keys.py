"""Names of the tensors in LoRA files: which part of the model, which layer and which tensor of it they mean.

What is no plain LoRA (DoRA, LyCORIS' other kinds, full differences, whole modules, embeddings) is recognized by name,
so that a reader can say what it leaves out. Sources: peft's `get_peft_model_state_dict`, diffusers'
`lora_conversion_utils`, sd-scripts' `networks/lora.py`, LyCORIS' `modules`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nerf2mesh.lora.lowrank import PREFIX

DENOISER = "denoiser"
MAX_NAME = 256
"""Characters. The longest name of a layer in FLUX, SD3, SDXL with any tool's prefixes has under 130."""
_COMPONENTS = (
    ("unet.", DENOISER),
    ("transformer.", DENOISER),
    ("model.diffusion_model.", DENOISER),
    ("diffusion_model.", DENOISER),
    ("lora_unet_", DENOISER),
    ("lora_transformer_", DENOISER),
    ("text_encoder.", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
    ("text_encoder_3.", "text_encoder_3"),
    ("lora_te_", "text_encoder"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    ("lora_te3_", "text_encoder_3"),
)
_PIECE = re.compile(
    r"(?:\.lora_([AB])(?:\.\w+)?\.weight|(?:\.lora_|[._]lora\.|\.lora_linear_layer\.)(down|up)\.weight"
    r"|\.lora_(mid)\.weight|\.(alpha))$"
)
"""peft's A and B; down and up of kohya, diffusers' attention processors and its older training scripts."""
_PEFT = {"A": "down", "B": "up"}
_OTHER_KINDS = (
    (re.compile(r"\.(dora_scale|lora_magnitude_vector)"), "DoRA"),
    (re.compile(r"\.hada_"), "LoHa"),
    (re.compile(r"\.lokr_"), "LoKr"),
    (re.compile(r"\.lora_(B(\.\w+)?|up)\.bias$"), "LoRA with biases"),
    (re.compile(r"\.(oft_|boft_)"), "OFT"),
    (re.compile(r"\.diff(_b)?$"), "full differences"),
    (re.compile(r"\.modules_to_save\."), "whole modules"),
)
_EMBEDDING = re.compile(
    r"^(bundle_emb|emb_params|string_to_param|clip_[gl]$|t5xxl$)|\.string_to_param\.|learned_embeds"
)
OTHER = "tensors that are no LoRA"


@dataclass(frozen=True)
class Key:
    """What a tensor is. layer: of which it is a part, "" where it is of none."""

    part: str
    layer: str
    piece: str
    """down, up, mid or alpha; "" where it is no tensor of a plain LoRA."""
    foreign: str = ""
    """The kind of a tensor that is no plain LoRA."""


def parsed(key: str) -> Key:
    """The meaning of a tensor's name."""
    if len(key) <= MAX_NAME:
        for pattern, kind in _OTHER_KINDS:
            if match := pattern.search(key):
                return Key(*_placed(key[: match.start()]), piece="", foreign=kind)
        if match := _PIECE.search(key):
            found = str(match[match.lastindex or 0])
            return Key(*_placed(key[: match.start()]), piece=_PEFT.get(found, found))
        if _EMBEDDING.search(key):
            return Key("", "", "", "embeddings")
    return Key("", "", "", OTHER)


def _placed(name: str) -> tuple[str, str]:
    """Part of the model and the layer in it; peft's prefix may stand before the part's and after it."""
    name, part = name.removeprefix(PREFIX), DENOISER
    for prefix, component in _COMPONENTS:
        if name.startswith(prefix):
            name, part = name.removeprefix(prefix), component
            break
    return part, name.removeprefix(PREFIX)
