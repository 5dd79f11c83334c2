"""The frames of a clip: of a GIF, APNG, WebP or video, a folder of pictures, or a list of them.

Frames are counted from 0 in the file, in the folder's order (numbers in names by their value), or in the list.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.photos.files import PICTURES
from nerf2mesh.inputs.picture import MAX_BYTES, MAX_SIDE_PX, Picture, read_picture
from nerf2mesh.inputs.video import opened_video
from nerf2mesh.utils.regular_file import read_regular

VIDEOS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
USUAL_FPS = 12.0
"""Of pictures that do not say when they were taken: drawn animation "on twos"."""
UNSAID_S = 0.1
"""What browsers take for a GIF's frame that says no duration."""
MOST = 240
"""More frames are refused: the whole clip is held in memory and fitted at once."""
WORKING_SIDE_PX = 1024
Timed = tuple[int, float, Picture]
"""Number, time in seconds, picture."""


@dataclass(frozen=True)
class Frames:
    """At least two frames of one size: their numbers, rising times from 0, and the SHA-256 of what they came from."""

    source: str
    numbers: tuple[int, ...]
    times_s: tuple[float, ...]
    pictures: tuple[Picture, ...]
    sha256: str

    def name(self, k: int) -> str:
        """The k-th frame for messages."""
        return f"frame {self.numbers[k]} of {self.source}"


def read_frames(config: InputConfig) -> Frames:
    """The frames that `input.frames`, `input.range` and `input.every` ask for.

    Raises:
        ValueError: in one line, nothing that can be read, fewer than two frames or too many, or frames of several
            sizes, of which one is named.
    """
    files, source = _files(config)
    if source is None:
        digest, found = _digest(files), list(_of_pictures(files, config))
        name = str(files[0].parent)
    else:
        digest, name = _digest([source]), str(source)
        found = list(_of_video(source, config) if source.suffix.lower() in VIDEOS else _of_animation(source, config))
    if len(found) < 2:
        asked = f" in input.range={list(config.range)}, input.every={config.every}" if found or config.range else ""
        raise ValueError(
            f"input.frames: expected at least two frames, got {len(found)} of {name}{asked}; give more of the clip, or "
            "say input=picture for one picture"
        )
    _check_end(found[-1][0], config, name)
    _check_sizes(found, name)
    start = found[0][1]
    rate = config.fps
    times = tuple((number - found[0][0]) / rate if rate else time - start for number, time, _ in found)
    return Frames(name, tuple(number for number, _, _ in found), times, tuple(p for _, _, p in found), digest)


def _files(config: InputConfig) -> tuple[list[Path], Path | None]:
    """The pictures of a list or folder, or the one file that holds all frames."""
    if config.images:
        return [Path(name).expanduser() for name in config.images], None
    if not config.image:
        raise ValueError(
            "input.frames: expected a GIF, APNG, WebP or MP4, or a folder of pictures, got nothing; add "
            "input.frames=CLIP.gif"
        )
    path = Path(config.image).expanduser()
    if path.is_file():
        return [], path
    if not path.is_dir():
        raise ValueError(f"input.frames: expected a file or folder, got no {path} (looked from {Path.cwd()}); check it")
    found = sorted((file for file in path.iterdir() if file.suffix.lower() in PICTURES and file.is_file()), key=_order)
    if not found:
        raise ValueError(f"input.frames: expected pictures in {path}, got none; name the folder that holds the frames")
    return found, None


def _order(file: Path) -> list[tuple[int, str]]:
    """frame_2 before frame_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", file.name) if part]


def _wanted(config: InputConfig, number: int) -> bool:
    first, last = config.range or (0, 1_000_000)
    return first <= number <= last and (number - first) % config.every == 0


def _check_end(number: int, config: InputConfig, name: str) -> None:
    """ValueError in one line where the clip ends before `input.range` does; `number` is the last frame read."""
    if not config.range:
        return
    first, last = config.range
    if number < last - (last - first) % config.every:
        raise ValueError(
            f"input.range: expected frames that {name} has, got [{first},{last}], of which {number} is the last found; "
            f"say input.range=[{first},{number}]"
        )


def _past(config: InputConfig, number: int) -> bool:
    return bool(config.range) and number > config.range[1]


def _checked(frames: Iterator[Timed], source: str) -> Iterator[Timed]:
    """The same, refused from the first one too many."""
    for count, item in enumerate(frames):
        if count == MOST:
            raise ValueError(
                f"input.frames: expected at most {MOST} frames, got more in {source}; set input.range=[first,last] or "
                "input.every"
            )
        yield item


def _of_pictures(files: Sequence[Path], config: InputConfig) -> Iterator[Timed]:
    chosen = ((k, file) for k, file in enumerate(files) if _wanted(config, k))
    read = ((k, k / USUAL_FPS, _said(file)) for k, file in chosen)
    return _checked(read, str(files[0].parent))


def _said(file: Path) -> Picture:
    try:
        return read_picture(file, working_side_px=WORKING_SIDE_PX)
    except ValueError as error:
        raise ValueError(str(error).replace("input.image:", "input.frames:", 1)) from error


def _of_animation(path: Path, config: InputConfig) -> Iterator[Timed]:
    return _checked(_animation(path, config), str(path))


def _animation(path: Path, config: InputConfig) -> Iterator[Timed]:
    data = _read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of large or damaged files
        try:
            image = Image.open(io.BytesIO(data), formats=("GIF", "PNG", "WEBP"))
            time, count = 0.0, getattr(image, "n_frames", 1)
            if max(image.size) > MAX_SIDE_PX:
                raise ValueError(f"{image.size[0]} x {image.size[1]} px")
            for number in range(count):
                image.seek(number)
                if _past(config, number):
                    return
                frame = image.convert("RGBA")  # decodes the frame, whose duration is known only then
                if _wanted(config, number):
                    yield number, time, _picture(np.asarray(frame), path, number, str(image.format))
                time += float(image.info.get("duration", 0.0)) / 1000.0 or UNSAID_S
        except Exception as error:  # Pillow's readers raise whatever the bytes lead them to
            reason = (str(error).splitlines() or [type(error).__name__])[0][:80]
            raise ValueError(
                f"input.frames: expected a GIF, APNG, WebP or video, got {path} ({reason}); export the clip again"
            ) from error


def _of_video(path: Path, config: InputConfig) -> Iterator[Timed]:
    return _checked(_video(path, config), str(path))


def _video(path: Path, config: InputConfig) -> Iterator[Timed]:
    import cv2

    _read(path)
    video = opened_video(path, "input.frames")
    rate = float(video.get(cv2.CAP_PROP_FPS)) or USUAL_FPS
    number = 0
    while not _past(config, number):
        there, frame = video.read()
        if not there:
            break
        if _wanted(config, number):
            rgba = cv2.cvtColor(frame, cv2.COLOR_BGR2RGBA)
            yield number, number / rate, _picture(rgba, path, number, "video")
        number += 1
    video.release()


def _picture(rgba: np.ndarray, path: Path, number: int, kind: str) -> Picture:
    """A frame; larger ones than WORKING_SIDE_PX are averaged down by a whole factor."""
    height, width = rgba.shape[:2]
    factor = -(-max(height, width) // WORKING_SIDE_PX)
    small = np.asarray(Image.fromarray(rgba).reduce(factor)) if factor > 1 else rgba
    cut_out = bool((rgba[..., 3] < 255).any())
    return Picture(small, cut_out, f"frame {number} of {path}", kind, (width, height), "")


def _check_sizes(found: Sequence[Timed], name: str) -> None:
    width, height = found[0][2].file_size_px
    for number, _, picture in found:
        if picture.file_size_px != (width, height):
            other = " x ".join(map(str, picture.file_size_px))
            raise ValueError(
                f"input.frames: expected frames of one size, {width} x {height} px, got {other} px in frame {number} "
                f"of {name}; crop or scale them alike"
            )


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, limit_bytes=MAX_BYTES, follow=True)
    except (ValueError, OSError) as error:
        raise ValueError(f"input.frames: expected a readable file, got {path} ({error}); check it") from error


def _digest(files: Sequence[Path]) -> str:
    """Of one file its own, of several that of their digests."""
    each = [hashlib.sha256(_read(file)).hexdigest() for file in files]
    return each[0] if len(each) == 1 else hashlib.sha256("".join(each).encode()).hexdigest()
