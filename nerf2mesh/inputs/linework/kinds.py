"""What a sheet holds, whatever file it came from.

Lengths are metres of the real thing (not of the paper), x to the right, y up. A picture has ink by pixels (`Raster`);
a vector file has lines, filled areas and labels (`Linework`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8
from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True)
class Line:
    """A flattened curve [n, 2] in metres."""

    points: Float[np.ndarray, "n 2"]
    layer: str = ""
    closed: bool = False
    width: float = 0.0
    """Stroke width in metres; 0 is a hairline."""
    block: str = ""
    """The DXF block (or SVG group) that it is part of; empty for none."""
    solid: bool = True
    """False for a dashed or dotted stroke."""


@dataclass(frozen=True)
class Area:
    """A region filled with ink: a shapely Polygon or MultiPolygon in metres."""

    region: BaseGeometry
    layer: str = ""
    block: str = ""


@dataclass(frozen=True)
class Label:
    """A text and where it stands, in metres."""

    text: str
    at: tuple[float, float]
    layer: str = ""


@dataclass(frozen=True)
class Sheet:
    """What the file said about itself."""

    path: str
    format: str
    sha256: str
    scale: str
    """How lengths became metres, for the report."""
    picture: UInt8[np.ndarray, "h w 3"] | None = None
    """The sheet as a picture, for the report."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Raster:
    """A picture of a sheet: ink in [0, 1] per pixel, rows from the top, and how many metres a pixel covers."""

    ink: Float[np.ndarray, "h w"]
    pixel_m: float
    sheet: Sheet

    def to_metres(self, points_px: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """From (column, row) in pixels, the corner of the first pixel being (0, 0)."""
        return np.stack([points_px[:, 0], self.ink.shape[0] - points_px[:, 1]], axis=1) * self.pixel_m


@dataclass(frozen=True)
class Linework:
    """Everything of a vector file that is drawn."""

    lines: tuple[Line, ...]
    areas: tuple[Area, ...]
    labels: tuple[Label, ...]
    sheet: Sheet
    layers: tuple[str, ...] = field(default=())


def layer_matches(layer: str, words: tuple[str, ...]) -> bool:
    """Whether a layer's or block's name holds one of the words, as a word or as a part of one (A-WALL-FULL, Walls2)."""
    plain = re.sub(r"[^a-z]+", " ", layer.lower())
    return any(word in plain for word in words)
