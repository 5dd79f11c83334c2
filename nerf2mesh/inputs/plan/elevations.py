"""Pictures of a building's surfaces, seen straight on: facades (north, east, south, west; north is up on the sheet),
and of a room its walls, its floor and its ceiling (ROOM_north ..., ROOM_floor, ROOM_ceiling)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.picture import read_picture
from nerf2mesh.inputs.plan.kinds import Plan

TOWARDS = {"north": (0.0, 1.0), "east": (1.0, 0.0), "south": (0.0, -1.0), "west": (-1.0, 0.0)}
"""Directions on the sheet, x to the right and y up."""
LEVEL = ("floor", "ceiling")


@dataclass(frozen=True)
class Elevation:
    """A picture of one surface: `room` None is the outside; `side` of TOWARDS or LEVEL; image uint8 [h, w, 3]."""

    name: str
    room: str | None
    side: str
    image: np.ndarray
    path: str
    sha256: str


def read_elevations(plan: Plan, config: InputConfig) -> list[Elevation]:
    """The pictures of `input.elevations`.

    Raises:
        ValueError: a name that is no side of this building, or a file that is no picture.
    """
    return [_read(name, path, plan) for name, path in config.elevations.items()]


def _read(name: str, path: str, plan: Plan) -> Elevation:
    room, _, side = name.rpartition("_")
    rooms = [room.name for room in plan.rooms]
    known = (not room and side in TOWARDS) or (room in rooms and side in (*TOWARDS, *LEVEL))
    if not known:
        raise ValueError(
            f"input.elevations: expected {', '.join(TOWARDS)} for the outside, or ROOM_north ... ROOM_floor, "
            f"ROOM_ceiling with a room of {', '.join(rooms)}, got {name}; correct it"
        )
    try:
        picture = read_picture(path)
    except ValueError as error:
        raise ValueError(str(error).replace("input.image:", f"input.elevations.{name}:", 1)) from error
    rgba = picture.rgba.astype(np.float32)
    opacity = rgba[..., 3:] / 255.0
    image = np.round(rgba[..., :3] * opacity + 255.0 * (1.0 - opacity)).astype(np.uint8)
    return Elevation(name, room or None, side, image, str(path), picture.sha256)
