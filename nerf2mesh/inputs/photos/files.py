"""What the input names: a layout with poses, pictures without, or a video; and the pictures of the latter two."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.photos import dtu, transforms
from nerf2mesh.inputs.photos.colmap import colmap_model
from nerf2mesh.inputs.picture import WORKING_SIDE_PX, Picture, read_picture
from nerf2mesh.inputs.video import opened_video

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".heic", ".heif")
VIDEOS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".gif")
FULL_FRAME_MM = 36.0
"""Width of the film to which EXIF's focal length "in 35 mm film" refers."""


@dataclass(frozen=True)
class Source:
    """layout: transforms, colmap, dtu, video, or pictures. path: its file or folder; files: the pictures."""

    layout: str
    path: Path
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Unposed:
    """A picture whose camera is not known. focal_px: at the picture's size, from EXIF, or None."""

    picture: Picture
    name: str
    focal_px: float | None = None


def find_source(config: InputConfig) -> Source:
    """What `input.image` or `input.images` names.

    Raises:
        ValueError: in one line, nothing is there, or nothing of the kinds that are read.
    """
    if config.images:
        return Source("pictures", Path(config.images[0]), tuple(Path(name).expanduser() for name in config.images))
    named = config.image or ""
    if not named:
        raise ValueError(
            "input.image: expected a folder, a video, a transforms.json or a list of photographs, got nothing; "
            "add input.image=FOLDER"
        )
    pattern = re.fullmatch(r"""glob\((["']?)(.+)\1\)""", named)
    if pattern:
        found = sorted(Path(name) for name in glob.glob(os.path.expanduser(pattern[2])))
        return Source("pictures", Path(pattern[2]), tuple(file for file in found if file.suffix.lower() in PICTURES))
    path = Path(named).expanduser()
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise ValueError(f"input.image: expected a folder or file, got no {path} (looked from {Path.cwd()}); check it")
    layout = {".json": "transforms", ".npz": "dtu"}.get(path.suffix.lower(), "")
    layout = "video" if path.suffix.lower() in VIDEOS else layout
    if not layout:
        raise ValueError(
            f"input.image: expected a folder, a video, a transforms.json or a cameras.npz, got {path}; name the "
            "folder, or say input=picture for one picture"
        )
    return Source(layout, path)


def _of_folder(folder: Path) -> Source:
    for layout, names in (("transforms", transforms.NAMES), ("dtu", dtu.NAMES)):
        for name in names:
            if (folder / name).is_file():
                return Source(layout, folder / name)
    if colmap_model(folder) is not None:
        return Source("colmap", folder)
    for place in (folder, folder / "images"):
        found = sorted(file for file in place.glob("*") if file.suffix.lower() in PICTURES and file.is_file())
        if found:
            return Source("pictures", folder, tuple(found))
    raise ValueError(
        f"input.image: expected photographs, transforms.json, cameras.npz or a COLMAP model in {folder}, got none of "
        "them; name the folder that holds the pictures"
    )


def read_unposed(source: Source, most: int) -> list[Unposed]:
    """The pictures of a list, folder or video, upright, at most `most` of them, evenly picked.

    Raises:
        ValueError: fewer than two, or a file that cannot be read.
    """
    if source.layout == "video":
        found = video_frames(source.path, most)
    else:
        found = [_unposed(i, file) for i, file in enumerate(picked(source.files, most))]
    if len(found) < 2:
        what = "frame" if source.layout == "video" else "photograph"
        raise ValueError(
            f"input.image: expected at least two {what}s, got {len(found)} in {source.path}; take more, or say "
            "input=picture for one picture"
        )
    return found


def picked(items: tuple[Path, ...], most: int) -> tuple[Path, ...]:
    """At most `most` of the items, evenly, the first and the last among them."""
    if len(items) <= most:
        return items
    return tuple(items[round(i)] for i in np.linspace(0, len(items) - 1, most))


def video_frames(path: Path, most: int) -> list[Unposed]:
    """The sharpest frame of each of at most `most` equal stretches of a video; sharpness is the variance of the
    Laplacian."""
    import cv2

    video = opened_video(path, "input.image")
    total = max(1, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
    best: dict[int, tuple[float, np.ndarray]] = {}
    number = 0
    while True:
        there, frame = video.read()
        if not there:
            break
        stretch = min(most - 1, number * most // total) if total > most else number
        sharp = float(cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.CV_64F).var())
        if stretch not in best or sharp > best[stretch][0]:
            best[stretch] = (sharp, _smaller(frame))
        number += 1
    video.release()
    return [_frame(path, number, best[number][1]) for number in sorted(best)[:most]]


def _smaller(frame: np.ndarray) -> np.ndarray:
    """The frame with at most WORKING_SIDE_PX a side: many are held at once."""
    import cv2

    scale = WORKING_SIDE_PX / max(frame.shape[:2])
    return frame if scale >= 1 else cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _frame(path: Path, number: int, frame: np.ndarray) -> Unposed:
    import cv2

    name = f"frame_{number:04d}.png"
    picture = read_picture(f"{path}, {name}", cv2.imencode(".png", frame)[1].tobytes())
    return Unposed(picture, name)


def exif_focal_px(file: Path, picture: Picture) -> float | None:
    """The focal length in pixels of the picture as read, from EXIF's 35 mm equivalent; None where it says nothing."""
    try:
        with Image.open(file) as opened:
            said = opened.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm)
    except (OSError, ValueError, SyntaxError):
        return None
    if not isinstance(said, int | float) or not said > 0:
        return None
    return float(said) / FULL_FRAME_MM * max(picture.rgba.shape[:2])


def _unposed(number: int, file: Path) -> Unposed:
    """Numbered, so that files of one name in two folders differ; without spaces, which part names in lists of pairs."""
    picture = read_picture(file)
    return Unposed(picture, f"{number:04d}_{'_'.join(file.stem.split())}.png", exif_focal_px(file, picture))
