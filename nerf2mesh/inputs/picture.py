"""Reading a picture file that may come from a stranger.

A picture is RGBA uint8 [h, w, 4], straight alpha, sRGB, upright (EXIF orientation applied). What cannot be turned
into that faithfully is refused with one line, such as an animation. 16 bits per channel are rounded to 8; of a phone's
JPEG of several frames (MPO) the first is the picture. Profiles of RGB, grey, palette and CMYK pictures are applied.
AVIF is read where Pillow can, HEIC where the package pillow-heif is installed.
"""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageOps, features

from nerf2mesh.utils.regular_file import read_regular

FORMATS = ("PNG", "JPEG", "WEBP")
IN_MEMORY = "the picture in memory"
MIN_SIDE_PX = 16
MAX_SIDE_PX = 8192
MAX_BYTES = 2**29
WORKING_SIDE_PX = 2048
"""Larger pictures are averaged down by a whole factor first: the views are far smaller, and memory stays bounded."""


@dataclass(frozen=True)
class Picture:
    """rgba [h, w, 4] uint8 and what the file said about itself."""

    rgba: UInt8[np.ndarray, "h w 4"]
    has_alpha: bool
    path: str
    format: str
    file_size_px: tuple[int, int]
    sha256: str


def read_picture(
    path: str | Path | None,
    data: bytes | None = None,
    *,
    upright: bool = True,
    working_side_px: int = WORKING_SIDE_PX,
) -> Picture:
    """Read one still picture, from `data` where these are given; `path` is then only its name.

    Without `upright` the pixels stay as the file has them, whatever EXIF says about the orientation. Pictures larger
    than `working_side_px` are averaged down by a whole factor.

    Raises:
        ValueError: the file is missing, no picture, broken, animated, too small or large.
    """
    data = _read_bytes(path) if data is None else data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's: of damaged EXIF, of large pictures, of palettes
        image = _open(path, data)
        size = image.size
        _check_still(path, image)
        _check_size(path, size)
        try:
            image.load()
            image = _in_srgb(ImageOps.exif_transpose(image) if upright else image)
            has_alpha = "A" in image.getbands() or "transparency" in image.info
            image = image.convert("RGBA")
            factor = math.ceil(max(size) / working_side_px)
            image = image.reduce(factor) if factor > 1 else image
        except Exception as error:  # Pillow's readers raise whatever the bytes lead them to
            raise ValueError(_damaged(path, error)) from error
    _check_size(path, image.size)
    return Picture(np.asarray(image), has_alpha, str(path), image_format(data), size, hashlib.sha256(data).hexdigest())


def image_format(data: bytes) -> str:
    """PNG, JPEG or WEBP by the file's first bytes, else an empty string."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    return "WEBP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def _read_bytes(path: str | Path | None) -> bytes:
    if path is None or not str(path):
        raise ValueError(
            "input.image: expected the path of a picture, got nothing; add input.image=PICTURE.png, or input.prompt=..."
        )
    file = Path(path).expanduser()
    if file.is_dir():
        raise ValueError(
            f"input.image: expected a picture file, got the folder {path}; name one PNG, JPEG or WebP in it"
        )
    try:
        return read_regular(file, limit_bytes=MAX_BYTES, follow=True)
    except ValueError as error:  # a pipe, a device, or far too large
        raise ValueError(f"input.image: {str(error).rpartition('; ')[0]}; give a picture file") from error
    except FileNotFoundError:
        raise ValueError(
            f"input.image: expected a file, got no file {path} (looked from {Path.cwd()}); check the path"
        ) from None
    except OSError as error:
        raise ValueError(
            f"input.image: expected a readable file, got {path} ({error.strerror}); check its permissions"
        ) from error


def _open(path: str | Path | None, data: bytes) -> Image.Image:
    kind, formats = image_format(data), (*FORMATS, *_phone_format(path, data))
    try:
        return Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError:
        raise ValueError(_too_large(path, None)) from None
    except Exception as error:  # Pillow's readers raise whatever the bytes lead them to
        if kind:
            raise ValueError(
                f"input.image: expected a whole {kind}, got {path}, which is damaged or cut short; "
                "copy or export the file again"
            ) from error
        raise ValueError(
            f"input.image: expected a PNG, JPEG or WebP picture, got {path}, which {_what_is(data)}; save it as PNG"
        ) from error


def _what_is(data: bytes) -> str:
    if not data:
        return "is empty"
    if b"\0" not in data[:1024]:
        try:
            data[:1024].decode("utf-8", errors="strict")
            return "holds text"
        except UnicodeDecodeError as error:
            if error.start > len(data[:1024]) - 4:
                return "holds text"
    return f"begins with the bytes {data[:4].hex(' ')}"


def _check_still(path: str | Path | None, image: Image.Image) -> None:
    try:
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception as error:  # counting reads on in the file
        raise ValueError(_damaged(path, error)) from error
    if frames > 1:
        raise ValueError(
            f"input.image: expected a still picture, got {frames} frames in {path}; save the frame you want as a PNG, "
            "or say input=frames for a mesh that moves"
        )


def _check_size(path: str | Path | None, size: tuple[int, int]) -> None:
    if max(size) > MAX_SIDE_PX:
        raise ValueError(_too_large(path, size))
    if min(size) < MIN_SIDE_PX:
        raise ValueError(
            f"input.image: expected at least {MIN_SIDE_PX} px a side, got {size[0]} x {size[1]} px in {path}; "
            "use a larger picture"
        )


def _too_large(path: str | Path | None, size: tuple[int, int] | None) -> str:
    got = f"{size[0]} x {size[1]} px" if size else "far more"
    return f"input.image: expected at most {MAX_SIDE_PX} px a side, got {got} in {path}; scale it down first"


def _phone_format(path: str | Path | None, data: bytes) -> tuple[str, ...]:
    """Pillow's name of the format where the file is AVIF or HEIC, made ready for reading; empty for all others."""
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in (b"avif", b"avis"):
        if not features.check("avif"):
            raise ValueError(f"input.image: expected a PNG, JPEG or WebP picture, got AVIF in {path}; save it as PNG")
        return ("AVIF",)
    if brand not in (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"):
        return ()
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise ValueError(
            f"input.image: expected a PNG, JPEG or WebP picture, got HEIC in {path}; pip install pillow-heif, or save "
            "it as JPEG"
        ) from error
    register_heif_opener()
    return ("HEIF",)


def _in_srgb(image: Image.Image) -> Image.Image:
    """Go to sRGB where the file carries a color profile; 8 bits per channel."""
    image = _eight_bits(image)
    profile = image.info.get("icc_profile")
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        # Pillow is untyped here: pyright takes the opened profile for the stream it was read from.
        space = source.profile.xcolor_space.strip()  # pyright: ignore[reportAttributeAccessIssue]
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)
        if (
            mode is None
            or (mode == "CMYK") != (image.mode == "CMYK")
            or (mode == "L" and image.mode not in ("L", "LA"))
        ):
            return image
        converted = ImageCms.profileToProfile(
            image.convert(mode), source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    assert converted is not None, "profileToProfile gives None only in place"
    if "A" in image.getbands() or "transparency" in image.info:
        converted.putalpha(image.convert("RGBA").getchannel("A"))
    return converted


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits rounded to 8; Pillow itself has done so for color."""
    if not image.mode.startswith("I"):
        return image
    levels = np.clip(np.asarray(image), 0, 65535).astype(np.int32)
    grey = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    grey.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return grey


def _damaged(path: str | Path | None, error: BaseException) -> str:
    text = (str(error).splitlines() or [""])[0][:80] or type(error).__name__
    said = text if text.isprintable() else ascii(text)
    return f"input.image: {path} is damaged or cut short ({said}); copy or export the file again"
