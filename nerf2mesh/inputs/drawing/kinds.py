"""The views of a part as they were understood. Regions are shapely geometries in metres of the part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from nerf2mesh.inputs.linework.kinds import Sheet

Hidden = Callable[[Float[np.ndarray, "n 2"], float], Bool[np.ndarray, " n"]]
"""Whether hidden (dashed) lines run within some metres of each point of the sheet."""


@dataclass(frozen=True)
class Silhouette:
    """A view on the sheet: its outline filled in, and the closed outlines inside it that may be holes.

    behind: closed outlines of hidden lines. faces: all regions between the visible lines, those at the rim too.
    """

    region: Any
    inner: tuple[Any, ...] = ()
    behind: tuple[Any, ...] = ()
    faces: tuple[Any, ...] = ()

    @property
    def low(self) -> Float[np.ndarray, " 2"]:
        """The lower left corner of its box."""
        return np.asarray(self.region.bounds[:2])

    @property
    def high(self) -> Float[np.ndarray, " 2"]:
        """The upper right corner of its box."""
        return np.asarray(self.region.bounds[2:])

    @property
    def size(self) -> Float[np.ndarray, " 2"]:
        """Width and height in metres."""
        return self.high - self.low


@dataclass(frozen=True)
class Lines:
    """What a sheet holds: views, hidden lines, and how exactly these are known, in metres."""

    views: tuple[Silhouette, ...]
    hidden: Hidden
    tolerance_m: float


@dataclass(frozen=True)
class Projection:
    """A view with its name (front, top, bottom, left, right), its through holes cut out, its box's middle at (0, 0)."""

    name: str
    region: Any
    lines: tuple[Any, ...] = ()
    """Closed outlines inside it, as rings [n, 2] in metres."""
    faces: tuple[Any, ...] = ()
    """The regions between its visible lines, holes left out."""


@dataclass(frozen=True)
class Cut:
    """What a view's lines take from the hull: all that lies within `region` and nearer to the viewer than `floor_m`,
    metres along the sight from the part's middle; with `behind` all that lies farther."""

    view: str
    region: Any
    floor_m: float
    behind: bool = False


@dataclass(frozen=True)
class Drawing:
    """The views of one part; `angle` is third or first."""

    views: tuple[Projection, ...]
    angle: str
    sheet: Sheet
    cuts: tuple[Cut, ...] = ()
    """What the inner lines take from the silhouettes' hull."""
    warnings: tuple[str, ...] = ()
