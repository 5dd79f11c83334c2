"""Pictures that are no files: arrays, tensors, Pillow's images, bytes, open files."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image

PictureInMemory = Image.Image | np.ndarray | torch.Tensor | bytes | bytearray | memoryview | BinaryIO


def picture_bytes(picture: object) -> bytes:
    """The bytes of a picture file with the same pixels, from a `PictureInMemory`.

    Arrays and tensors are [h, w], [h, w, c] or [c, h, w] with 1 (grey), 3 (RGB) or 4 (straight RGBA) channels, sRGB, as
    uint8, uint16, booleans or floats in [0, 1]. Where both ends could be channels, the last are.

    Raises:
        ValueError: another shape, type or range.
    """
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, torch.Tensor):
        picture = picture.detach().cpu().float().numpy() if picture.is_floating_point() else picture.cpu().numpy()
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(_channels_last(_eight_bits(picture)))
    if isinstance(picture, Image.Image):
        stream = io.BytesIO()
        known = picture.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
        profile = picture.info.get("icc_profile") if known else None
        (picture if known else picture.convert("RGB")).save(stream, "PNG", icc_profile=profile, compress_level=1)
        return stream.getvalue()
    read = getattr(picture, "read", None)
    data = read() if callable(read) else None
    if not isinstance(data, bytes):
        raise ValueError(
            f"image: expected a path, a Pillow image, an array, a tensor, bytes or a file opened as binary, "
            f"got {type(picture).__name__}; give one of these"
        )
    return data


def _eight_bits(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint16:
        return ((array.astype(np.int64) + 128) // 257).astype(np.uint8)
    if array.dtype.kind != "f":
        raise ValueError(f"image: expected uint8, uint16, bool or floats in [0, 1], got {array.dtype}; convert it")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(f"image: expected floats in [0, 1], got {low:g} to {high:g}; scale them, or give uint8")
    return np.round(array * 255.0).astype(np.uint8)


def _channels_last(array: np.ndarray) -> np.ndarray:
    """[h, w] or [h, w, 3 or 4]."""
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[-1] in (3, 4)):
        raise ValueError(
            f"image: expected the shape [h, w], [h, w, c] or [c, h, w] with c 1, 3 or 4, got {list(array.shape)}; "
            "give one picture"
        )
    return np.ascontiguousarray(array)
