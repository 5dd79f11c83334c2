"""Pictures as phones, scanners and print shops save them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from nerf2mesh.inputs import InputConfig
from nerf2mesh.inputs.foreground import find_foreground
from nerf2mesh.inputs.picture import read_picture
from tests.inputs.pictures import disc_rgba


def _saved(image: Image.Image, file: Path, **options: object) -> np.ndarray:
    image.save(file, **options)
    return read_picture(file).rgba


def test_first_frame_of_a_phones_jpeg(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 48), color) for color in ((200, 40, 30), (0, 0, 255))]
    rgba = _saved(frames[0], tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=frames[1:])
    assert np.abs(rgba[..., :3].astype(int) - (200, 40, 30)).max() <= 3


def test_sixteen_bits_of_grey_are_rounded(tmp_path: Path) -> None:
    levels = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    rgba = _saved(Image.fromarray(levels), tmp_path / "deep.png")
    assert np.abs(rgba[..., 0] - levels / 257.0).max() <= 0.5 + 1e-6
    assert (rgba[..., 3] == 255).all()


def test_cmyk_is_converted(tmp_path: Path) -> None:
    rgba = _saved(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), tmp_path / "print.jpg", quality=100)
    assert np.abs(rgba[0, 0, :3].astype(int) - (255, 0, 0)).max() <= 3


def _swapped_profile() -> bytes:
    """sRGB whose red and blue primaries have changed places."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    for tag in (data[132 + 12 * k : 136 + 12 * k] for k in range(count)):
        assert len(tag) == 4
    for k in range(count):
        at = 132 + 12 * k
        data[at : at + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(bytes(data[at : at + 4]), data[at : at + 4])
    return bytes(data)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_profile_is_applied_in_every_mode(mode: str, tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 32), (200, 40, 30))
    image = image.quantize(4) if mode == "P" else image.convert(mode)
    rgba = _saved(image, tmp_path / "a.png", icc_profile=_swapped_profile())
    assert np.abs(rgba[0, 0, :3].astype(int) - (30, 40, 200)).max() <= 2


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif(tmp_path: Path) -> None:
    rgba = _saved(Image.new("RGB", (64, 64), (200, 40, 30)), tmp_path / "a.avif", quality=95)
    assert np.abs(rgba[..., :3].astype(int) - (200, 40, 30)).max() <= 4


def test_heic_says_what_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    file = tmp_path / "a.heic"
    file.write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(ValueError, match=r"got HEIC in .*a\.heic; pip install pillow-heif"):
        read_picture(file)


@pytest.mark.parametrize("level", [255, 140, 40])
def test_islands_of_alpha_are_no_part_of_the_object(level: int, tmp_path: Path) -> None:
    clean = np.array(disc_rgba((200, 40, 30), (0, 0, 0)))
    dusty = clean.copy()
    for y, x in ((1, 1), (2, 94), (94, 40), (93, 93)):
        dusty[y : y + 2, x : x + 2] = (0, 255, 0, level)
    stream = io.BytesIO()
    Image.fromarray(dusty).save(stream, "PNG")
    (tmp_path / "a.png").write_bytes(stream.getvalue())
    found = find_foreground(read_picture(tmp_path / "a.png"), InputConfig(image="a.png", foreground="alpha"))
    assert np.array_equal(np.round(found.rgba[..., 3] * 255), clean[..., 3])
    assert any("dust" in line for line in found.warnings)


def test_two_parts_of_like_size_both_stay(tmp_path: Path) -> None:
    rgba = np.zeros((96, 96, 4), np.uint8)
    rgba[10:40, 10:40] = rgba[60:70, 60:70] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    found = find_foreground(read_picture(tmp_path / "a.png"), InputConfig(image="a.png"))
    assert found.rgba[..., 3].sum() == 30 * 30 + 10 * 10 and not found.warnings
