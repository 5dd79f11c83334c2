"""Damaged picture files: each is read or refused in one line with its name.

python -m tests.fuzz.pictures SECONDS [SEED]
"""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, features

from nerf2mesh.inputs.picture import read_picture
from tests.fuzz.common import command, damaged, run, stand_in

SIZE = 40


@functools.cache
def corpus() -> list[tuple[str, bytes]]:
    """(suffix, bytes): every mode and format that is read, with EXIF, profiles, palettes and transparency."""
    values = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 4), dtype=np.uint8)
    color = Image.fromarray(values, "RGBA")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "words"
    found = []
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        image = color.convert("RGB").quantize(32) if mode == "P" else color.convert(mode)
        found.append((".png", saved(image, "PNG", icc_profile=profile, exif=exif)))
        found.append((".png", saved(image, "PNG", transparency=3) if mode in ("L", "P") else saved(image, "PNG")))
    found.append((".png", saved(Image.fromarray(values[..., 0].astype(np.uint16) * 257), "PNG")))
    for mode in ("L", "RGB", "CMYK"):
        found.append((".jpg", saved(color.convert("RGB").convert(mode), "JPEG", exif=exif, icc_profile=profile)))
    found.append((".jpg", saved(color.convert("RGB"), "JPEG", progressive=True)))
    found.append((".jpg", saved(color.convert("RGB"), "MPO", save_all=True, append_images=[color.convert("RGB")])))
    found += [(".webp", saved(color, "WEBP", lossless=lossless, exif=exif)) for lossless in (True, False)]
    return found + ([(".avif", saved(color, "AVIF"))] if features.check("avif") else [])


def saved(image: Image.Image, format_: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def chunks_changed(data: bytes, draw: random.Random) -> bytes:
    """A PNG with one chunk changed, left out or repeated, its checksums right: the damage reaches the reader."""
    parts, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    k = draw.randrange(len(parts))
    kind, body = parts[k]
    if kind == b"IDAT" and draw.random() < 0.5:
        body = zlib.compress(damaged(zlib.decompress(body), draw))
    elif draw.random() < 0.7:
        body = damaged(body or b"\0", draw)
    else:
        kind = draw.choice((b"tRNS", b"PLTE", b"iCCP", b"eXIf", b"acTL", b"IDAT", b"gAMA", b"zTXt"))
    parts[k : k + 1] = [(kind, body)] * draw.choice((1, 1, 1, 0, 2))
    return data[:8] + b"".join(
        struct.pack(">I", len(b)) + name + b + struct.pack(">I", zlib.crc32(name + b)) for name, b in parts
    )


def case(draw: random.Random, folder: Path) -> str:
    suffix, data = draw.choice(corpus())
    path = folder / f"picture{suffix}"
    if draw.random() < 0.03:
        stand_in(path, draw)
    else:
        change = chunks_changed if suffix == ".png" and draw.random() < 0.5 else damaged
        path.write_bytes(change(data, draw))
    try:
        picture = read_picture(path)
    except ValueError as error:
        assert path.name in str(error), error
        raise
    assert picture.rgba.dtype == np.uint8 and picture.rgba.ndim == 3 and picture.rgba.shape[2] == 4
    return path.name


def main(seconds: float, seed: int = 0) -> dict[str, int]:
    """Counts of cases, tracebacks and hangs, and of what was read and refused."""
    return run(case, seconds, seed)


if __name__ == "__main__":
    command(main)
