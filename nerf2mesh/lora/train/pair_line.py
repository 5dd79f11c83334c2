"""Checks one line of items.jsonl, which may be a stranger's, before anything is read that it names.

Files are regular ones inside the folder. A camera stands somewhere, is turned and not bent, and has the object in front
of it: numbers that are none, or a matrix of another convention, would teach the adapter nonsense without a word.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nerf2mesh.mesh.read_file import axis_turn
from nerf2mesh.utils.names import inside

MAX_VIEWS = 10_000
FAR = 1000.0
"""World units: a camera beyond, or an orthographic picture wider, is a mistake of units."""
BENT = 0.02
"""How far the product of a rotation with its transpose may be from one."""


class LineError(ValueError):
    """What is wrong with the line: "expected X, got Y; do Z", without its place."""


def checked_entry(folder: Path, text: str) -> dict[str, Any]:
    """The line as a dict that can be relied on; a licence that is null is left away. LineError where it cannot."""
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LineError(f"expected JSON, got {' '.join(str(error).split())[:120]}; correct the line") from error
    if not isinstance(entry, dict) or "picture" not in entry or ("model" in entry) == ("views" in entry):
        got = sorted(entry)[:10] if isinstance(entry, dict) else type(entry).__name__
        raise LineError(f"expected picture, and model or views, got {got}; correct the line")
    for name in ("licence", "source"):
        if entry.get(name) is None:
            entry.pop(name, None)
        elif not isinstance(entry[name], str) or len(entry[name]) > 10_000:
            raise LineError(f"expected text as {name}, got {_shown(entry[name])}; correct the line")
    _check_texts(entry)
    _check_angles(entry)
    _check_files(folder, entry)
    _check_cameras(entry)
    return entry


def _check_texts(entry: Mapping[str, Any]) -> None:
    for name in ("author", "caption", "kind", "sha256"):
        if not isinstance(entry.get(name, ""), str) or len(entry.get(name, "")) > 10_000:
            raise LineError(f"expected text as {name}, got {_shown(entry[name])}; correct the line")
    if entry.get("split", "train") not in ("train", "heldout"):
        raise LineError(f"expected a split of train or heldout, got {_shown(entry['split'])}; correct the line")


def _check_angles(entry: Mapping[str, Any]) -> None:
    for name, most in (("azimuth_deg", 360.0), ("elevation_deg", 90.0)):
        if name in entry and not -most <= _number(entry[name], name) <= most:
            raise LineError(f"expected {name} of {-most:g} to {most:g}, got {entry[name]}; correct the line")
    up, front = entry.get("up", "y"), entry.get("front", "z")
    try:
        axis_turn(up, front)
    except (ValueError, TypeError) as error:
        got = f"{_shown(up)} and {_shown(front)}"
        raise LineError(
            f"expected up and front to be two axes such as y and -z, got {got}; correct the line"
        ) from error


def _check_files(folder: Path, entry: Mapping[str, Any]) -> None:
    views = entry.get("views", [])
    if not isinstance(views, list) or ("views" in entry and not 0 < len(views) <= MAX_VIEWS):
        raise LineError(f"expected a list of 1 to {MAX_VIEWS} views, got {_shown(views)}; correct the line")
    for name in (entry["picture"], *([entry["model"]] if "model" in entry else views)):
        try:
            path = inside(folder, name, "file")
        except ValueError as error:
            raise LineError(str(error).removeprefix("file: ")) from error
        if not path.is_file():
            got = "something that is no regular file" if path.exists() else "none"
            raise LineError(f"expected the file {path}, got {got}; put it there or take the line out")


def _check_cameras(entry: Mapping[str, Any]) -> None:
    shared = entry.get("cameras", {})
    frames = shared.get("frames", []) if isinstance(shared, dict) else None
    if not isinstance(frames, list):
        raise LineError(f"expected cameras with a list of frames, got {_shown(shared)}; correct the line")
    if "views" in entry and len(frames) - len(entry["views"]) not in (0, 1):
        n = len(entry["views"])
        raise LineError(f"expected {n} camera frames, one a view, got {len(frames)}; correct the line")
    for frame in [*frames, *([entry["picture_camera"]] if "picture_camera" in entry else [])]:
        if not isinstance(frame, dict):
            raise LineError(f"expected a camera frame with transform_matrix, got {_shown(frame)}; correct the line")
        _check_lens({**shared, **frame})
        _check_pose(frame.get("transform_matrix"))


def _check_lens(said: Mapping[str, Any]) -> None:
    """ortho_scale wins over camera_angle_x, as when the camera is made of them."""
    if said.get("ortho_scale") is not None:
        if not 0.0 < _number(said["ortho_scale"], "ortho_scale") <= FAR:
            raise LineError(f"expected ortho_scale above 0 up to {FAR:g}, got {said['ortho_scale']}; correct the line")
    elif said.get("camera_angle_x") is None:
        raise LineError("expected camera_angle_x or ortho_scale, got neither; add one")
    elif not 1e-3 <= _number(said["camera_angle_x"], "camera_angle_x") <= 3.1:
        got = said["camera_angle_x"]
        raise LineError(f"expected camera_angle_x in radians, 0.001 to 3.1, got {got}; correct the line")


def _check_pose(matrix: object) -> None:
    rows = matrix if isinstance(matrix, list) else []
    if len(rows) != 4 or any(not isinstance(row, list) or len(row) != 4 for row in rows):
        raise LineError(f"expected a transform_matrix of 4 x 4 numbers, got {_shown(matrix)}; correct the line")
    pose = np.array([[_number(value, "transform_matrix") for value in row] for row in rows])
    turn, place = pose[:3, :3], pose[:3, 3]
    if not np.abs(pose).max() <= FAR or np.abs(pose[3] - (0, 0, 0, 1)).max() > 1e-6:
        raise LineError(f"expected a transform_matrix from camera to world, got {_shown(matrix)}; correct the line")
    if np.abs(turn @ turn.T - np.eye(3)).max() > BENT or np.linalg.det(turn) < 0.0:
        raise LineError(f"expected a rotation in transform_matrix, got {_shown(turn.tolist())}; correct the line")
    if turn[:, 2] @ place <= 0.0:
        raise LineError(
            f"expected a camera that looks along its -z at the origin, got one at {_shown(place.tolist())} that looks "
            "away; write Blender's axes"
        )


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300 or not math.isfinite(value):
        raise LineError(f"expected a number as {name}, got {_shown(value)}; correct the line")
    return float(value)


def _shown(value: object) -> str:
    return ascii(value)[:60]
