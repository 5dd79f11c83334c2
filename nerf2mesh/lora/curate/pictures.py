"""What is measured on one picture: size, blur, perceptual hash, the pixels that the prior sees, names, a thumbnail."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import sobel, uniform_filter1d
from torch import Tensor

from nerf2mesh.inputs.picture import MAX_BYTES, Picture, read_picture
from nerf2mesh.lora.curate.metadata import has_place, names_in, opened
from nerf2mesh.priors.builtin.prior import reduced_rgba
from nerf2mesh.utils.regular_file import read_regular

HASH_SIDE = 16
BLUR_SIDE_PX = 512
THUMB_PX = 112
_INK = 0.3
"""A pixel is ink from this share of the strongest difference to the border's color on: the noise of a JPEG is none."""


@dataclass(frozen=True)
class PictureFacts:
    """See `look_at`."""

    size_px: tuple[int, int]
    pixels_sha256: str
    """Of the decoded pixels: the same for a PNG and the lossless WebP made of it."""
    blur: float
    hashes: np.ndarray
    """Signs [2, 256] of the perceptual hash of the object's box, and of its mirror image."""
    small: Tensor
    """The object's box over white at the prior's size, opaque RGBA [4, s, s]."""
    names: dict[str, str]
    has_place: bool
    thumb: bytes
    """WebP, over white."""


def look_at(path: Path, side_px: int) -> PictureFacts:
    """Measures a picture; side_px is the prior's. ValueError, in one line, where it cannot be read."""
    data = read_regular(path, limit_bytes=MAX_BYTES, follow=True)
    picture = read_picture(path.name, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged EXIF
        image = opened(data)
        names, place = names_in(image), has_place(image)
    boxed = squared(picture)
    return PictureFacts(
        size_px=picture.file_size_px,
        pixels_sha256=hashlib.sha256(repr(picture.rgba.shape).encode() + visible(picture.rgba).tobytes()).hexdigest(),
        blur=blur(gray(over_white(picture.rgba))),
        hashes=np.stack([perceptual_hash(boxed), perceptual_hash(boxed[:, ::-1])]),
        small=_small(boxed, side_px),
        names=names,
        has_place=place,
        thumb=thumbnail(over_white(picture.rgba)),
    )


def visible(rgba: np.ndarray) -> np.ndarray:
    """The pixels with the colors under zero alpha gone, which nobody sees."""
    return np.where(rgba[..., 3:] > 0, rgba, 0)


def over_white(rgba: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 3]."""
    alpha = rgba[..., 3:].astype(np.float32) / 255.0
    return np.round(rgba[..., :3] * alpha + 255.0 * (1.0 - alpha)).astype(np.uint8)


def gray(rgb: np.ndarray) -> np.ndarray:
    """Luma [h, w] in [0, 1], at most BLUR_SIDE_PX a side, averaged down by a whole factor."""
    factor = -(-max(rgb.shape[:2]) // BLUR_SIDE_PX)
    image = Image.fromarray(rgb).convert("L")
    return np.asarray(image.reduce(factor) if factor > 1 else image, dtype=np.float64) / 255.0


def blur(image: np.ndarray, window: int = 11) -> float:
    """0 (sharp) to 1: how little of the change between neighbors a blur along an axis takes away.

    Crete, Dolmiere, Ladret, Nicolas 2007, "The blur effect", equations 1 to 8, by Sobel's differences: the larger
    value of the two axes.
    """
    found = []
    for axis in (0, 1):
        smooth = uniform_filter1d(image, window, axis=axis)
        sharp_step, smooth_step = (np.abs(sobel(values, axis=axis))[2:-1, 2:-1] for values in (image, smooth))
        total, lost = sharp_step.sum(), np.maximum(0.0, sharp_step - smooth_step).sum()
        found.append((total - lost) / total if total > 0 else 0.0)
    return float(max(found))


def squared(picture: Picture) -> np.ndarray:
    """What stands out from the border, over white, padded to a square, uint8 [s, s, 3]: alike for any framing."""
    rgb = over_white(picture.rgba)
    top, bottom, left, right = _box(_ink(rgb))
    cut = rgb[top:bottom, left:right]
    height, width = cut.shape[:2]
    side = max(height, width)
    square = np.tile(_border_color(rgb).astype(np.uint8), (side, side, 1))
    y, x = (side - height) // 2, (side - width) // 2
    square[y : y + height, x : x + width] = cut
    return square


def perceptual_hash(rgb: np.ndarray) -> np.ndarray:
    """Signs [256] (float32, 1 or -1) of imagehash's DCT hash: two of them differ in (256 - their product) / 2 bits."""
    import imagehash

    bits = imagehash.phash(Image.fromarray(np.ascontiguousarray(rgb)), hash_size=HASH_SIDE).hash
    return np.where(bits.reshape(-1), 1.0, -1.0).astype(np.float32)


def thumbnail(rgb: np.ndarray, side_px: int = THUMB_PX) -> bytes:
    """A small WebP."""
    image = Image.fromarray(rgb)
    image.thumbnail((side_px, side_px))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=70, method=2)
    return buffer.getvalue()


def _small(rgb: np.ndarray, side_px: int) -> Tensor:
    opaque = np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=-1)
    return reduced_rgba(torch.from_numpy(opaque / np.float32(255.0)), side_px).permute(2, 0, 1)


def _ink(rgb: np.ndarray) -> np.ndarray:
    difference = np.abs(rgb - _border_color(rgb)).max(-1)
    return difference > max(_INK * difference.max(), 4.0)


def _border_color(rgb: np.ndarray) -> np.ndarray:
    edge = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    return np.median(edge, axis=0)


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of what is set; everything where nothing is."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0, mask.shape[0], 0, mask.shape[1]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
