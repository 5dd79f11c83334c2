"""transforms.json of nerfstudio and instant-ngp, and the NeRF-synthetic layout (transforms_train.json).

Poses are camera_to_world in OpenGL axes in a world with +Z up. Intrinsics stand for all frames or for each: fl_x, fl_y,
cx, cy, w, h in pixels, or camera_angle_x, camera_angle_y in radians, or x_fov, y_fov in degrees. Distortion is OpenCV's
(k1 k2 p1 p2 k3), or with camera_model OPENCV_FISHEYE or is_fisheye its equidistant one (k1 k2 k3 k4).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nerf2mesh.inputs.photos.capture import Capture, Lens, Shot, checked_pose

NAMES = ("transforms.json", "transforms_train.json")
SUFFIXES = ("", ".png", ".jpg", ".jpeg", ".webp", ".PNG", ".JPG", ".JPEG")
MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "PERSPECTIVE", "OPENCV_FISHEYE")
SHOWN = 3
"""Missing files that a message names."""


def read_transforms(path: Path) -> Capture:
    """The capture of one transforms.json.

    Raises:
        ValueError: in one line, the file is no such JSON, names files that are missing, or has a bad pose or lens.
    """
    data = _load(path)
    frames = [frame for frame in data["frames"] if _wanted(frame, data)]
    files = [_file(path.parent, frame, number) for number, frame in enumerate(frames)]
    _refuse_missing(path, [frame["file_path"] for frame, file in zip(frames, files) if file is None], len(frames))
    shots = tuple(_shot(path, data, frame, file) for frame, file in zip(frames, files) if file is not None)
    facts = {key: data[key] for key in ("aabb_scale", "applied_transform", "applied_scale") if key in data}
    return Capture(
        shots, path.name, up=np.array([0.0, 0.0, 1.0]), box=_box(data), points=_points(path, data), facts=facts
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"input.image: expected a readable file, got {path} ({error.strerror}); check it") from error
    except ValueError as error:
        raise ValueError(f"input.image: expected JSON in {path}, got {str(error)[:80]}; write the file anew") from error
    frames = data.get("frames") if isinstance(data, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise ValueError(
            f'input.image: expected a list "frames" in {path}, got none with entries; name a transforms.json of '
            "nerfstudio, instant-ngp or NeRF-synthetic"
        )
    for number, frame in enumerate(frames):
        if not isinstance(frame.get("file_path"), str) or "transform_matrix" not in frame:
            raise ValueError(
                f"input.image: expected file_path and transform_matrix in frame {number} of {path}, "
                f"got {', '.join(frame) or 'nothing'}; add them"
            )
    return data


def _wanted(frame: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """nerfstudio may name the frames to train on; the others are for testing."""
    return frame["file_path"] in data["train_filenames"] if data.get("train_filenames") else True


def _file(folder: Path, frame: Mapping[str, Any], number: int, key: str = "file_path") -> Path | None:
    """The file that a frame names, relative to the JSON, with or without its suffix; None where there is none."""
    named = folder / str(frame[key]).replace("\\", "/")
    return next((file for suffix in SUFFIXES if (file := named.with_name(named.name + suffix)).is_file()), None)


def _refuse_missing(path: Path, missing: list[str], total: int) -> None:
    if not total:
        raise ValueError(f"input.image: expected frames of train_filenames in {path}, got none; correct the list")
    if missing:
        names = ", ".join(missing[:SHOWN]) + (f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else "")
        raise ValueError(
            f"input.image: expected the {total} files that {path} names, got {len(missing)} missing ({names}); "
            "put them there or take their frames out"
        )


def _shot(path: Path, data: Mapping[str, Any], frame: Mapping[str, Any], file: Path) -> Shot:
    mask = None
    if frame.get("mask_path"):
        mask = _file(path.parent, frame, 0, "mask_path")
        if mask is None:
            raise ValueError(
                f"input.image: expected the mask {frame['mask_path']} that {path} names, got no such file; "
                "put it there or take mask_path out"
            )
    lens = _lens(path, {**data, **frame}, file)
    return Shot(file, lens, checked_pose(frame["transform_matrix"], f"{frame['file_path']} in {path.name}"), mask)


def _lens(path: Path, said: Mapping[str, Any], file: Path) -> Lens:
    """`said`: the file's entries with the frame's own over them."""
    with Image.open(file) as opened:
        actual = opened.size
    width, height = (_number(path, said, name, size) for name, size in zip(("w", "h"), actual))
    fx = _focal(path, said, "x", width)
    fy = _focal(path, said, "y", height)
    if fx is None and fy is None:
        raise ValueError(f"input.image: expected fl_x or camera_angle_x in {path}, got neither; add the focal length")
    fx, fy = fx or fy or 0.0, fy or fx or 0.0
    center = _number(path, said, "cx", width / 2), _number(path, said, "cy", height / 2)
    fisheye, factors = _distortion(path, said)
    return Lens(round(width), round(height), (fx, fy), center, factors if any(factors) else (), fisheye)


def _focal(path: Path, said: Mapping[str, Any], axis: str, size: float) -> float | None:
    """In pixels, along one axis; None where nothing is said about it."""
    if said.get(f"fl_{axis}") is not None:
        focal = _number(path, said, f"fl_{axis}", 0.0)
    elif said.get(f"camera_angle_{axis}") is not None:
        focal = 0.5 * size / math.tan(0.5 * _number(path, said, f"camera_angle_{axis}", 0.0) or 1e-12)
    elif said.get(f"{axis}_fov") is not None:
        focal = 0.5 * size / math.tan(0.5 * math.radians(_number(path, said, f"{axis}_fov", 0.0)) or 1e-12)
    else:
        return None
    if not 0.0 < focal < 1e7:
        raise ValueError(f"input.image: expected a focal length above 0 px in {path}, got {focal:g}; correct it")
    return focal


def _distortion(path: Path, said: Mapping[str, Any]) -> tuple[bool, tuple[float, ...]]:
    model = str(said.get("camera_model", "OPENCV")).upper()
    if model not in MODELS:
        raise ValueError(
            f"input.image: expected camera_model of {', '.join(MODELS)} in {path}, got {model}; undistort the pictures"
        )
    k1, k2, k3, k4, p1, p2 = (_number(path, said, name, 0.0) for name in ("k1", "k2", "k3", "k4", "p1", "p2"))
    if model == "OPENCV_FISHEYE" or said.get("is_fisheye"):
        return True, (k1, k2, k3, k4)
    if k4:
        raise ValueError(
            f"input.image: expected k4 = 0 in {path} (it has a meaning for OPENCV_FISHEYE only), got {k4:g}; "
            "undistort the pictures"
        )
    return False, (k1, k2, p1, p2, k3)


def _number(path: Path, said: Mapping[str, Any], name: str, default: float) -> float:
    value = said.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"input.image: expected a number for {name} in {path}, got {value!r}; correct it")
    return float(value)


def _box(data: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """instant-ngp's box: a cube of side aabb_scale around (0.5, 0.5, 0.5) in scale x + offset. A cube above 2 holds the
    surroundings too, and says nothing of the object."""
    side = data.get("aabb_scale")
    if not isinstance(side, int | float) or not 0 < side <= 2:
        return None
    scale, offset = float(data.get("scale", 0.33)), np.array(data.get("offset", [0.5, 0.5, 0.5]), np.float64)
    middle = np.full(3, 0.5)
    return (middle - side / 2 - offset) / scale, (middle + side / 2 - offset) / scale


def _points(path: Path, data: Mapping[str, Any]) -> np.ndarray | None:
    """nerfstudio's sparse points, which are in the world of the poses."""
    named = data.get("ply_file_path")
    if not named or not (path.parent / str(named)).is_file():
        return None
    import trimesh

    loaded: Any = trimesh.load(path.parent / str(named), process=False)
    return np.asarray(loaded.vertices, np.float64)
