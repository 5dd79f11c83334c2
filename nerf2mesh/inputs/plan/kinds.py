"""A floor plan as it was understood. Regions are shapely geometries in metres, x to the right and y up on the sheet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from nerf2mesh.inputs.linework.kinds import Label, Sheet

Near = Callable[[Float[np.ndarray, "n 2"], float], Bool[np.ndarray, " n"]]
"""Whether there is a line that is no wall within some metres of each point."""
OUTSIDE = "outside"


@dataclass(frozen=True)
class Walls:
    """What the sheet shows as walls, and what else is drawn."""

    region: Any
    near: Near
    tolerance_m: float
    """How exactly lines are known: about a pixel and a half, or a few millimetres in a vector file."""
    slack_m: float = 0.002
    """How far a bump in a wall's end may stick out or in; fillings reach as far into the walls."""
    labels: tuple[Label, ...] = ()
    hints: tuple[tuple[str, Any], ...] = ()
    """("door" or "window", region) of blocks and layers that are called so."""


@dataclass(frozen=True)
class Gap:
    """A gap in a run of walls: its region between both wall ends, from one end's middle to the other's."""

    region: Any
    start: Float[np.ndarray, " 2"]
    stop: Float[np.ndarray, " 2"]
    thickness: float
    filling: Any
    """The region and a little more at both ends: what closes the walls."""
    ends: int
    """2 between two wall ends, 1 between an end and a wall's side."""

    @property
    def width(self) -> float:
        """In metres."""
        return float(np.hypot(*(self.stop - self.start)))

    @property
    def middle(self) -> tuple[float, float]:
        """In metres."""
        x, y = (self.start + self.stop) / 2
        return float(x), float(y)


@dataclass(frozen=True)
class Opening:
    """A door, window or passage; `sill_m` and `head_m` above the floor, `rooms` on its two sides."""

    name: str
    kind: str
    gap: Gap
    sill_m: float
    head_m: float
    rooms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Room:
    """A region closed by walls and openings."""

    name: str
    region: Any

    @property
    def area_m2(self) -> float:
        """Area of the floor between the walls."""
        return float(self.region.area)

    @property
    def perimeter_m(self) -> float:
        """Length of the walls and openings around it."""
        return float(self.region.length)


@dataclass(frozen=True)
class Plan:
    """Walls with the openings filled in, rooms, and openings."""

    walls: Any
    rooms: tuple[Room, ...]
    openings: tuple[Opening, ...]
    sheet: Sheet
    warnings: tuple[str, ...] = ()


class OpenWalls(ValueError):
    """Walls that enclose nothing; `gaps` are the places (x, y) in metres, `walls` their region, for a picture."""

    def __init__(self, message: str, walls: Any, gaps: tuple[tuple[float, float], ...]) -> None:
        super().__init__(message)
        self.walls, self.gaps = walls, gaps
