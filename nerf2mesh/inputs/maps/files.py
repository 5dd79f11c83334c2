"""A depth or normal map from a PNG, EXR or NPY file, which may come from a stranger.

The size is compared with the picture's before the pixels are read, so that no header can fill the memory.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nerf2mesh.utils.names import printable
from nerf2mesh.utils.regular_file import read_regular

MAX_BYTES = 2**30
DEPTH_NAMES = ("z", "v", "y", "l", "depth", "d")
"""Last parts of the names of EXR channels that hold depths."""
PNG, NPY, EXR = b"\x89PNG\r\n\x1a\n", b"\x93NUMPY", b"\x76\x2f\x31\x01"


@dataclass(frozen=True)
class MapFile:
    """values [h, w, c] float32; levels: the largest value of an integer file (255, 65535), 0 for floats."""

    values: np.ndarray
    levels: int
    path: str


def read_map(setting: str, path: str, size_px: tuple[int, int], *, n_channels: int) -> MapFile:
    """The map of the setting `input.depth` (1 channel) or `input.normal` (3), as large as the picture (width, height).

    An alpha channel of a normal map counts as a length of 0 where it is 0. Equal channels of a depth map are one.

    Raises:
        ValueError: in one line, a missing or damaged file, another format, size or number of channels, NaN.
    """
    data = _bytes(setting, path)
    if data.startswith(PNG):
        values, levels = _png(setting, path, data, size_px)
    elif data.startswith(NPY):
        values, levels = _npy(setting, path, data, size_px)
    elif data.startswith(EXR):
        values, levels = _exr(setting, path, size_px, n_channels), 0
    else:
        raise ValueError(
            f"{setting}: expected a PNG, EXR or NPY file, got {printable(path)}, which begins with "
            f"{data[:4].hex(' ') or 'nothing'}; save it as one of these"
        )
    bad = int(np.isnan(values).any(-1).sum())
    if bad:
        raise ValueError(
            f"{setting}: expected numbers in {printable(path)}, got NaN in {bad:,} of {values[..., 0].size:,} pixels; "
            f"write {'inf' if n_channels == 1 else '0,0,0'} where nothing is known"
        )
    return MapFile(_channels(setting, path, values, n_channels, levels), levels, path)


def _bytes(setting: str, path: str) -> bytes:
    file = Path(path).expanduser()
    try:
        if file.is_dir():
            raise ValueError(f"{setting}: expected a file, got the folder {printable(path)}; name one file in it")
        return read_regular(file, limit_bytes=MAX_BYTES, follow=True)
    except FileNotFoundError:
        raise ValueError(
            f"{setting}: expected a file, got no file {printable(path)} (looked from {Path.cwd()}); check the path"
        ) from None
    except OSError as error:
        raise ValueError(
            f"{setting}: expected a readable file, got {printable(path)} ({error.strerror}); check its permissions"
        ) from error
    except ValueError as error:
        said = str(error)
        raise ValueError(said if said.startswith(setting) else f"{setting}: {said}") from error


def check_size(setting: str, path: str, got: tuple[int, int], wanted: tuple[int, int]) -> None:
    """ValueError where a map has another size (width, height) than its picture."""
    if got != wanted:
        raise ValueError(
            f"{setting}: expected {wanted[0]} x {wanted[1]} px as the upright picture has, got {got[0]} x {got[1]} px "
            f"in {printable(path)}; give the map of this picture at its size"
        )


def _png(setting: str, path: str, data: bytes, size_px: tuple[int, int]) -> tuple[np.ndarray, int]:
    import cv2

    size = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    check_size(setting, path, size, size_px)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as whole:
            whole.load()  # OpenCV, which alone reads colors of 16 bits, fills what is missing and prints a line
        read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except Exception:  # both raise whatever the bytes lead them to
        read = None
    if read is None or read.shape[:2] != size[::-1]:
        raise ValueError(f"{setting}: expected a whole PNG, got {printable(path)}, which is damaged; export it again")
    values = read if read.ndim == 3 else read[..., None]
    if values.shape[-1] >= 3:
        values = np.concatenate([values[..., 2::-1], values[..., 3:]], -1)
    return values.astype(np.float32), 65535 if read.dtype == np.uint16 else 255


def _npy(setting: str, path: str, data: bytes, size_px: tuple[int, int]) -> tuple[np.ndarray, int]:
    width, height = size_px
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(stream)
    except Exception as error:
        raise ValueError(f"{setting}: expected a whole NPY file, got {printable(path)}; save it again") from error
    if kind.kind not in "fiu":
        raise ValueError(f"{setting}: expected numbers in {printable(path)}, got {kind}; save floats or integers")
    squeezed = [side for side in shape if side != 1] if len(shape) > 2 else list(shape)
    last = len(squeezed) == 2 or (len(squeezed) == 3 and squeezed[:2] == [height, width])
    first = len(squeezed) == 3 and squeezed[1:] == [height, width]
    if not last and not first:
        raise ValueError(
            f"{setting}: expected the shape [{height}, {width}] or with channels, as the upright picture has, got "
            f"{list(shape)} in {printable(path)}; give the map of this picture at its size"
        )
    check_size(setting, path, (squeezed[1], squeezed[0]) if last else (squeezed[2], squeezed[1]), size_px)
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False).reshape(squeezed)
    except Exception as error:
        raise ValueError(f"{setting}: expected a whole NPY file, got {printable(path)}; save it again") from error
    values = values if last else np.moveaxis(values, 0, -1)
    levels = 0 if kind.kind == "f" else 255 if kind.itemsize == 1 else 65535
    return (values if values.ndim == 3 else values[..., None]).astype(np.float32), levels


def _exr(setting: str, path: str, size_px: tuple[int, int], n_channels: int) -> np.ndarray:
    try:
        import OpenEXR  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f"{setting}: expected the package OpenEXR for {printable(path)}, got none; pip install 'nerf2mesh[maps]', "
            "or save the map as NPY"
        ) from error
    file = str(Path(path).expanduser())
    try:
        header = OpenEXR.File(file, header_only=True).header()
        low, high = (np.asarray(corner) for corner in header["dataWindow"])
        check_size(setting, path, (int(high[0] - low[0]) + 1, int(high[1] - low[1]) + 1), size_px)
        channels = {name: found.pixels for name, found in OpenEXR.File(file, separate_channels=True).channels().items()}
    except ValueError:
        raise
    except Exception as error:  # the library raises whatever the bytes lead it to
        raise ValueError(
            f"{setting}: expected a whole EXR, got {printable(path)}, which is damaged or of several parts; export it "
            "again"
        ) from error
    names = exr_names(channels, n_channels)
    if not names:
        raise ValueError(
            f"{setting}: expected {'one channel Z or V' if n_channels == 1 else 'channels X, Y, Z or R, G, B'} in "
            f"{printable(path)}, got {printable(', '.join(sorted(channels)))[:200]}; export that pass alone"
        )
    return np.stack([channels[name] for name in names], -1).astype(np.float32)


def exr_names(channels: Iterable[str], n_channels: int) -> list[str]:
    """The channels that hold a depth (1) or a normal (3); empty where it cannot be told. A pass is named by the part
    before the last dot, as Blender does: ViewLayer.Depth.Z, ViewLayer.Normal.X."""
    passes: dict[str, dict[str, str]] = {}
    for name in channels:
        prefix, _, last = name.rpartition(".")
        passes.setdefault(prefix, {})[last.lower()] = name
    triples = [
        (prefix, [found[letter] for letter in letters])
        for prefix, found in passes.items()
        for letters in ("xyz", "rgb")
        if set(letters) <= set(found)
    ]
    if n_channels == 3:
        named = [names for prefix, names in triples if "normal" in prefix.lower()]
        return (named or [names for _, names in triples] or [[]])[0] if named or len(triples) == 1 else []
    taken = {name for _, names in triples for name in names}
    single = [name for found in passes.values() for last, name in found.items() if last in DEPTH_NAMES]
    single = [name for name in single if name not in taken]
    named = [name for name in single if "depth" in name.lower()]
    if len(named or single) == 1:
        return named or single
    return triples[0][1] if len(triples) == 1 and not single and not triples[0][1][0].lower().endswith("x") else []


def _channels(setting: str, path: str, values: np.ndarray, wanted: int, levels: int) -> np.ndarray:
    count = values.shape[-1]
    if wanted == 3 and count in (3, 4):
        middle = (levels + 1) / 2 if levels else 0.0
        return np.where(values[..., 3:] > 0, values[..., :3], middle) if count == 4 else values
    if wanted == 1 and count in (1, 3, 4):
        colors = values[..., : 3 if count >= 3 else 1]
        if np.array_equal(colors, np.broadcast_to(colors[..., :1], colors.shape)):
            return colors[..., :1]
    got = "colors" if wanted == 1 and count >= 3 else f"{count} channel{'s' if count > 1 else ''}"
    said = "grey values, one channel" if wanted == 1 else "three channels"
    raise ValueError(f"{setting}: expected {said}, got {got} in {printable(path)}; export the raw map")
