"""Pictures on their way into a prior: over a background, at the network's size, as CLIP wants them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.priors.foundation.components import Loaded, quiet, whole
from nerf2mesh.types import Observations
from nerf2mesh.utils.device_copy import to_device

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def over(images: Tensor, background: Tensor) -> Tensor:
    """[B, V, h, w, 3] from premultiplied RGBA over a color [3] or [V, 3]; RGB comes back as it is."""
    if images.shape[-1] == 3:
        return images
    behind = to_device(background, images.device).to(images.dtype)
    behind = behind.reshape(-1, 1, 1, 3) if behind.ndim == 2 else behind
    return images[..., :3] + (1.0 - images[..., 3:]) * behind


def resized(images: Tensor, size: int) -> Tensor:
    """[n, c, h, w] at size x size: bilinear, antialiased when made smaller."""
    if images.shape[-1] == size and images.shape[-2] == size:
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)


def reference_picture(observations: Observations, family: str, grey: float) -> Tensor:
    """The first view [1, 3, h, w] in [0, 1] over a grey level; ValueError where there is none."""
    if not observations.views:
        raise ValueError(
            f"input.image: the prior {family} starts from a picture, got none; add input.image=PICTURE.png"
        )
    image = observations.views[0].image
    rgb = image[..., :3] * image[..., 3:] + (1.0 - image[..., 3:]) * grey
    return rgb.permute(2, 0, 1)[None]


def load_image_encoder(folder: Path, dtype: torch.dtype, projected: bool = True) -> Any:
    """CLIP's vision tower, frozen."""
    from transformers import CLIPVisionModel, CLIPVisionModelWithProjection

    kind = CLIPVisionModelWithProjection if projected else CLIPVisionModel
    with quiet():
        loaded = kind.from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    return whole(cast(Loaded, loaded), f"image encoder: {folder}").requires_grad_(False).eval()


def clip_pixels(picture: Tensor, size: int) -> Tensor:
    """[n, 3, h, w] in [0, 1] as CLIP wants it: size x size (bicubic, antialiased), normalized."""
    small = F.interpolate(picture, size=(size, size), mode="bicubic", antialias=True).clamp(0.0, 1.0)
    mean, std = (small.new_tensor(values).reshape(1, 3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    return (small - mean) / std
