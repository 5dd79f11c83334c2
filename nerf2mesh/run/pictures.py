"""Renderings as 8-bit pictures in front of grey: the previews of a run and the frames of its turntable."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from nerf2mesh.types import Rendering
from nerf2mesh.utils.atomic_write import atomic_write

PREVIEW_GREY = 0.92


def over_grey(views: Rendering) -> Tensor:
    """uint8 [..., 3] on the CPU, rounded to the nearest level."""
    return (views.over(PREVIEW_GREY).clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu()


def save_row(path: Path, views: Rendering) -> None:
    """The views [n, h, w] side by side as a PNG."""
    from PIL import Image

    row = torch.cat(list(over_grey(views)), dim=1)
    with atomic_write(path) as part:
        Image.fromarray(row.numpy()).save(part, format="PNG")
