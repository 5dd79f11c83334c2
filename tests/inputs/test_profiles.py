"""Grey and CMYK pictures with color profiles of their own, against the closed forms of profiles written here.

The profiles are the smallest that the ICC's specification (ICC.1:2001-04) allows: a header, and the tags that say how
device values become colors.
"""

from __future__ import annotations

import struct
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerf2mesh.inputs.picture import read_picture

D50 = struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
IDENTITY = bytes(range(256))


def profile(kind: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A version 2.4 profile with these tags (sections 6.1 and 6.2)."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + D50, **tags}
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(data), bytes(4), 0x02400000, kind, space, pcs)
    head += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + D50
    return head.ljust(128, b"\0") + table + data


def grey_profile(gamma: float) -> bytes:
    """Grey whose luminance is level^gamma."""
    return profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": struct.pack(">4sIIH", b"curv", 0, 1, round(gamma * 256))})


def black_ink_profile() -> bytes:
    """CMYK of which only K prints: L* = 100 (1 - K), whatever C, M and Y are (section 6.5.9, lut8)."""
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    cells = b"".join(bytes([255 * (1 - k), 128, 128]) for *_, k in product((0, 1), repeat=4))
    table = struct.pack(">4sI4B", b"mft1", 0, 4, 3, 2, 0) + matrix + 4 * IDENTITY + cells + 3 * IDENTITY
    return profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def srgb_of_luminance(y: float) -> float:
    """IEC 61966-2-1, as a level of 255."""
    return 255.0 * (12.92 * y if y <= 0.0031308 else 1.055 * y ** (1 / 2.4) - 0.055)


def read(image: Image.Image, path: Path, **saved: object) -> np.ndarray:
    image.save(path, **saved)
    return read_picture(path).rgba[16, 16].astype(float)


@pytest.mark.parametrize("mode", ["L", "LA"])
@pytest.mark.parametrize("gamma", [1.0, 3.0])
def test_grey(mode: str, gamma: float, tmp_path: Path) -> None:
    image = Image.new("L", (32, 32), 128).convert(mode)
    got = read(image, tmp_path / "a.png", icc_profile=grey_profile(gamma))
    assert got[:3] == pytest.approx([srgb_of_luminance((128 / 255) ** gamma)] * 3, abs=2) and got[3] == 255


@pytest.mark.parametrize(
    ("ink", "lightness"), [((0, 255, 255, 0), 100.0), ((0, 0, 0, 128), 49.8), ((9, 9, 9, 255), 0.0)]
)
def test_cmyk(ink: tuple[int, ...], lightness: float, tmp_path: Path) -> None:
    """Without its profile the first would be red."""
    image = Image.new("CMYK", (32, 32), ink)
    got = read(image, tmp_path / "a.jpg", quality=100, icc_profile=black_ink_profile())
    y = ((lightness + 16) / 116) ** 3 if lightness > 8 else lightness / 903.3
    assert got[:3] == pytest.approx([srgb_of_luminance(y)] * 3, abs=3)


def test_a_broken_profile_is_left_aside(tmp_path: Path) -> None:
    got = read(Image.new("L", (32, 32), 128), tmp_path / "a.png", icc_profile=grey_profile(3.0)[:140])
    assert got[:3].tolist() == [128, 128, 128]
