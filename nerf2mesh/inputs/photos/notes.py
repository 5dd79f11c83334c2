"""What the report and the provenance say about a set of photographs."""

from __future__ import annotations

import hashlib
import math
from collections import Counter

import numpy as np

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.foreground import Foreground
from nerf2mesh.inputs.framing import resample, whole_window
from nerf2mesh.inputs.picture import Picture

SHOWN = 16
"""Photographs on a sheet."""
TILE_PX = 128


def photo_notes(
    config: InputConfig, pictures: list[Picture], found: list[Foreground], facts: dict[str, object]
) -> dict[str, object]:
    """The notes of `load_photos`, without its warnings."""
    methods = Counter(one.method for one in found)
    return {
        "path": config.image or config.images[0],
        "sha256": hashlib.sha256("".join(picture.sha256 for picture in pictures).encode()).hexdigest(),
        "format": f"{len(pictures)} photographs",
        "file_size_px": pictures[0].file_size_px,
        "foreground": ", ".join(methods),
        "mask_share": float(np.mean([one.share for one in found])),
        "picture": sheet([picture.rgba.astype(np.float32) / 255.0 for picture in pictures]),
        "mask": sheet([_opaque(one.rgba[..., 3]) for one in found])[..., 0],
        "photos": facts,
    }


def sheet(tiles: list[np.ndarray]) -> np.ndarray:
    """uint8 [H, W, 3]: at most SHOWN of the pictures [h, w, 4] (float, straight alpha), evenly picked, in rows."""
    which = sorted({round(i) for i in np.linspace(0, len(tiles) - 1, min(SHOWN, len(tiles)))})
    small = [resample(tiles[i], whole_window(*tiles[i].shape[:2]), TILE_PX) for i in which]
    columns = math.ceil(math.sqrt(len(small)))
    rows = math.ceil(len(small) / columns)
    page = np.ones((rows, columns, TILE_PX, TILE_PX, 3), np.float32)
    for i, tile in enumerate(small):
        page[i // columns, i % columns] = tile[..., :3] * tile[..., 3:] + 1.0 - tile[..., 3:]
    return np.round(page.swapaxes(1, 2).reshape(rows * TILE_PX, columns * TILE_PX, 3) * 255.0).astype(np.uint8)


def _opaque(mask: np.ndarray) -> np.ndarray:
    grey = np.repeat(mask[..., None], 3, axis=-1)
    return np.concatenate([grey, np.ones_like(mask)[..., None]], axis=-1).astype(np.float32)
