"""IP-Adapter (Ye et al. 2023): the given picture as a prompt beside the words, for SD and SDXL.

The adapter's file holds the projection of CLIP's image embedding (`image_proj.*`) and one pair of matrices for each
cross-attention (`ip_adapter.*`); diffusers puts both into the UNet. Published files: h94/IP-Adapter, folder
models/, with image_encoder/ beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.priors.foundation.components import first_line, quiet, read_weights
from nerf2mesh.priors.foundation.pictures import clip_pixels, load_image_encoder, reference_picture
from nerf2mesh.priors.foundation.resolve import folder_of
from nerf2mesh.types import Observations


@dataclass
class ImagePrompt:
    """The image encoder's folder and how its output is taken: the embedding, or the tokens ("plus" adapters)."""

    encoder_folder: Path
    takes_tokens: bool
    dtype: torch.dtype
    device: str | torch.device

    @torch.no_grad()
    def embed(self, observations: Observations, family: str) -> tuple[Tensor, Tensor]:
        """[1, 1, d] or [1, 1, n, d] of the reference view over white, and of no picture. The encoder is let go."""
        picture = reference_picture(observations, family, 1.0).to(self.device)
        encoder = load_image_encoder(self.encoder_folder, self.dtype).to(self.device)
        pixels = clip_pixels(picture, encoder.config.image_size).to(self.dtype)
        if self.takes_tokens:
            given, none = (encoder(x, output_hidden_states=True).hidden_states[-2] for x in (pixels, pixels * 0.0))
        else:
            given = encoder(pixels).image_embeds
            none = torch.zeros_like(given)
        return given[:, None], none[:, None]


def attach(unet: Any, config: PriorConfig, dtype: torch.dtype, device: str | torch.device) -> ImagePrompt:
    """Puts the adapter into the UNet of diffusers, frozen. ValueError where a file is missing or does not fit."""
    path = _adapter_file(config)
    weights: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for key, value in read_weights(path).items():
        part, _, rest = key.partition(".")
        if part in weights:
            weights[part][rest] = value
    if not all(weights.values()):
        raise ValueError(f"prior.ip_adapter: {path} holds no image_proj and ip_adapter; name an IP-Adapter's file")
    try:
        with quiet():
            unet._load_ip_adapter_weights([weights])
    except (RuntimeError, KeyError, ValueError, IndexError) as error:
        raise ValueError(
            f"prior.ip_adapter: {path.name} does not fit this UNet ({first_line(error)}); take the one of its family"
        ) from error
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [config.ip_adapter_scale] * len(processor.scale)
    unet.to(device=device, dtype=dtype).requires_grad_(False)
    from diffusers.models.embeddings import ImageProjection

    first = unet.encoder_hid_proj.image_projection_layers[0]
    return ImagePrompt(_encoder_folder(path), not isinstance(first, ImageProjection), dtype, device)


def _adapter_file(config: PriorConfig) -> Path:
    assert config.ip_adapter is not None
    place, _, name = config.ip_adapter.partition(":")
    folder = folder_of(
        place, config, "prior.ip_adapter", ["**/*.json", f"**/{name or '*'}*.safetensors", "**/model.safetensors"]
    )
    found = [p for p in sorted(folder.rglob("*.safetensors")) if p.parent.name != "image_encoder"]
    fitting = [p for p in found if p.stem == name] if name else found
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(p.stem for p in found) or "none"
    raise ValueError(f"prior.ip_adapter: expected one adapter file in {folder}, got {names}; say FOLDER:NAME")


def _encoder_folder(path: Path) -> Path:
    """image_encoder/ beside the file, or under a neighbor (SDXL's vit-h files use models/image_encoder)."""
    for folder in (path.parent / "image_encoder", path.parent.parent / "models" / "image_encoder"):
        if (folder / "config.json").is_file():
            return folder
    raise ValueError(f"prior.ip_adapter: no image_encoder/ beside {path}; get it from the adapter's repository")
