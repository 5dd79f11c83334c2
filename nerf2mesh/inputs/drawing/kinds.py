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
    """A view on the sheet: its outline filled in, and the closed outlines inside it that may be holes."""

    region: Any
    inner: tuple[Any, ...] = ()

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


@dataclass(frozen=True)
class Drawing:
    """The views of one part; `angle` is third or first."""

    views: tuple[Projection, ...]
    angle: str
    sheet: Sheet
    warnings: tuple[str, ...] = ()
