"""Files as strangers send them: what is read is read right, the rest is refused with one line that says what to do."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerf2mesh.inputs import InputConfig
from nerf2mesh.inputs.picture import read_picture
from tests.inputs.pictures import BAD, disc_on, disc_rgba, write_bad


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.filterwarnings("error")
def test_bad_picture_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    file = write_bad(kind, tmp_path)
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


def test_an_unknown_kind_of_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"input\.domain: expected one of auto, photo, cel, .*, got 'skecth'"):
        InputConfig(domain="skecth")


def test_a_pipe_or_a_device_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero")):
        with pytest.raises(
            ValueError, match=rf"^input\.image: {path}: expected a regular file, .*give a picture file$"
        ):
            read_picture(path)


@pytest.mark.filterwarnings("error")
def test_what_pillow_says_of_damaged_exif_is_not_passed_on(tmp_path: Path) -> None:
    file = tmp_path / "picture.jpg"
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "x" * 50
    disc_on((250, 250, 250), (200, 40, 30)).save(file, exif=exif.tobytes()[:-20])
    assert read_picture(file).rgba.shape == (96, 96, 4)


def test_whatever_fails_in_a_palette_names_the_file(tmp_path: Path) -> None:
    """A palette PNG whose transparency is of more colors than a palette has: Pillow notices when it converts."""
    file = tmp_path / "palette.png"
    disc_on((250, 250, 250), (200, 40, 30)).quantize(16).save(file)
    whole = file.read_bytes()
    start, body = whole.index(b"IDAT") - 4, bytes(300)
    chunk = struct.pack(">I", 300) + b"tRNS" + body + struct.pack(">I", zlib.crc32(b"tRNS" + body))
    file.write_bytes(whole[:start] + chunk + whole[start:])
    with pytest.raises(ValueError, match=r"^input\.image: .*palette\.png is damaged") as caught:
        read_picture(file)
    assert str(caught.value).isprintable()
