"""Renderings as 8-bit pictures in front of grey: the previews of a run and the frames of its turntable."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from nerf2mesh.rights import Record
from nerf2mesh.rights.containers import png_chunks
from nerf2mesh.rights.seal import BLANK, sealed
from nerf2mesh.types import Rendering
from nerf2mesh.utils.atomic_write import atomic_write_bytes

PREVIEW_GREY = 0.92
HEADER_END = 33
"""A PNG's signature and its IHDR chunk, in bytes."""


def over_grey(views: Rendering) -> Tensor:
    """uint8 [..., 3] on the CPU, rounded to the nearest level."""
    return (views.over(PREVIEW_GREY).clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu()


def save_row(path: Path, views: Rendering, record: Record | None = None) -> None:
    """The views [n, h, w] side by side as a PNG, which carries the record and is sealed with it."""
    from PIL import Image

    row, stream = torch.cat(list(over_grey(views)), dim=1), io.BytesIO()
    Image.fromarray(row.numpy()).save(stream, format="PNG")
    data = stream.getvalue()
    if record is not None:
        data = sealed(data[:HEADER_END] + png_chunks(record.text(), BLANK) + data[HEADER_END:], ".png", record.signer)
    atomic_write_bytes(path, data)
