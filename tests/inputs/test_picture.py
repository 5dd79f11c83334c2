"""Files as strangers send them: what is read is read right, the rest is refused with one line that says what to do."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerf2mesh.inputs.picture import MAX_SIDE_PX, read_picture
from tests.inputs.pictures import disc_on, disc_rgba


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, depth: int = 8, colour_type: int = 2, rows: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", zlib.compress(rows)) + _png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _write_bad(kind: str, folder: Path) -> Path:
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
    elif kind == "16-bit grey":
        Image.fromarray(np.full((64, 64), 40000, np.uint16)).save(file)
    elif kind == "16-bit colour":
        file.write_bytes(_png(32, 32, depth=16, rows=(b"\0" + bytes(32 * 6)) * 32))
    elif kind == "cmyk":
        file = folder / "picture.jpg"
        good.convert("CMYK").save(file)
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
    "16-bit grey": ("wanted 8 bits", "8-bit PNG"),
    "16-bit colour": ("wanted 8 bits", "8-bit PNG"),
    "cmyk": ("got CMYK", "export it as RGB"),
    "1 px": ("got 1 x 1 px", "larger picture"),
    "12000 px": (f"at most {MAX_SIDE_PX} px", "scale it down"),
    "bomb": (f"at most {MAX_SIDE_PX} px", "scale it down"),
    "truncated": ("damaged or cut short", "export the file again"),
    "truncated jpeg": ("damaged or cut short", "export the file again"),
    "bad header": ("damaged or cut short", "export the file again"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.filterwarnings("error")
def test_bad_picture_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    file = _write_bad(kind, tmp_path)
    with pytest.raises(ValueError) as caught:
        read_picture(file)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("input.image: ")
    for part in BAD[kind]:
        assert part in message


def test_no_path_says_how_to_give_one() -> None:
    with pytest.raises(ValueError, match=r"add input\.image="):
        read_picture(None)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_formats(suffix: str, tmp_path: Path) -> None:
    image = disc_on((250, 250, 250), (200, 40, 30))
    file = tmp_path / f"picture.{suffix}"
    image.save(file, quality=95)
    picture = read_picture(file)
    assert not picture.has_alpha and picture.file_size_px == (96, 96)
    error = np.abs(picture.rgba[..., :3].astype(int) - np.asarray(image))
    assert error.mean() < 2.0 and (suffix != "png" or error.max() == 0)
    assert (picture.rgba[..., 3] == 255).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1"])
def test_modes(mode: str, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    disc_rgba((200, 40, 30), (0, 0, 0)).convert(mode).save(file)
    picture = read_picture(file)
    assert picture.rgba.shape == (96, 96, 4)
    assert picture.has_alpha == (mode in ("RGBA", "LA", "P"))


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the picture has to be turned clockwise
    file = tmp_path / "picture.png"
    Image.fromarray(pixels).save(file, exif=exif)
    assert np.array_equal(read_picture(file).rgba[..., :3], np.rot90(pixels, -1))


def test_large_picture_is_averaged_down(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    Image.new("RGB", (4100, 300), (10, 200, 90)).save(file)
    picture = read_picture(file)
    assert picture.rgba.shape == (100, 1367, 4) and picture.file_size_px == (4100, 300)
    assert (picture.rgba[5, 5] == (10, 200, 90, 255)).all()
