"""Small pictures with a known mask, and files that are no good."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from nerf2mesh.inputs.picture import MAX_SIDE_PX


def disc(
    size: int = 96, radius: float = 30.0, center: tuple[float, float] | None = None, supersample: int = 8
) -> np.ndarray:
    """Anti-aliased coverage [size, size] in [0, 1] of a disc, by brute-force supersampling."""
    cx, cy = center or (size / 2, size / 2)
    axis = (np.arange(size * supersample) + 0.5) / supersample
    inside = ((axis[None, :] - cx) ** 2 + (axis[:, None] - cy) ** 2 < radius**2).astype(np.float64)
    return inside.reshape(size, supersample, size, supersample).mean((1, 3))


def disc_on(
    background: np.ndarray | tuple[int, int, int], color: tuple[int, int, int], **disc_args: object
) -> Image.Image:
    """The disc composited over a plain color or a picture."""
    coverage = disc(**disc_args)[..., None]
    over = np.asarray(background, np.float64) * np.ones((*coverage.shape[:2], 3))
    return Image.fromarray(np.round(coverage * np.array(color) + (1 - coverage) * over).astype(np.uint8))


def disc_rgba(color: tuple[int, int, int], hidden: tuple[int, int, int], **disc_args: object) -> Image.Image:
    """The disc as straight RGBA; fully transparent pixels carry the color `hidden`."""
    coverage = disc(**disc_args)
    rgb = np.where(coverage[..., None] > 0, np.array(color), np.array(hidden))
    rgba = np.concatenate([rgb, np.round(coverage * 255)[..., None]], -1).astype(np.uint8)
    return Image.fromarray(rgba, "RGBA")


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, depth: int = 8, color_type: int = 2, rows: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    chunks = _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", zlib.compress(rows)) + _png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def write_bad(kind: str, folder: Path) -> Path:
    """One of the kinds in BAD."""
    file = folder / "picture.png"
    good = disc_on((255, 255, 255), (200, 40, 30))
    if kind == "missing":
        return folder / "nowhere.png"
    if kind == "folder":
        return folder
    if kind == "text":
        file.write_text("this is not a picture\n" * 20)
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "tiff":
        good.save(file, format="TIFF")
    elif kind == "animated":
        good.save(file, format="PNG", save_all=True, append_images=[good.rotate(90), good.transpose(0)])
    elif kind == "animated webp":
        file = folder / "picture.webp"
        good.save(file, save_all=True, append_images=[Image.new("RGB", good.size), good])
    elif kind == "1 px":
        Image.new("RGB", (1, 1)).save(file)
    elif kind == "12000 px":
        file.write_bytes(_png(12000, 12000))
    elif kind == "bomb":
        file.write_bytes(_png(60000, 60000))
    elif kind == "truncated":
        good.save(file)
        file.write_bytes(file.read_bytes()[:-400])
    elif kind == "truncated jpeg":
        file = folder / "picture.jpg"
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)).save(file)
        file.write_bytes(file.read_bytes()[:2000])
    elif kind == "bad header":
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 30)
    return file


BAD = {
    "missing": ("no file", "check the path"),
    "folder": ("got the folder", "name one PNG"),
    "text": ("holds text", "save it as PNG"),
    "empty": ("is empty", "save it as PNG"),
    "tiff": ("begins with the bytes", "save it as PNG"),
    "animated": ("got 3 frames", "save the frame"),
    "animated webp": ("got 3 frames", "save the frame"),
    "1 px": ("got 1 x 1 px", "larger picture"),
    "12000 px": (f"at most {MAX_SIDE_PX} px", "scale it down"),
    "bomb": (f"at most {MAX_SIDE_PX} px", "scale it down"),
    "truncated": ("damaged or cut short", "export the file again"),
    "truncated jpeg": ("damaged or cut short", "export the file again"),
    "bad header": ("damaged or cut short", "export the file again"),
}
