"""A quantity over directions as a map: azimuth to the right, elevation upwards, inline SVG without script.

Colors are straight lines in OKLab (Ottosson 2020, "A perceptual color space for image processing") between the colors
of STOPS, written in sRGB: their lightness falls evenly from the least to the largest value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from nerf2mesh.report.metrics_log import is_number

SPREAD = "prior's spread"
"""The name in metrics.json of what `spread_section` draws."""
STOPS = ((0.95, -0.02, 0.08), (0.68, 0.10, 0.07), (0.41, 0.11, -0.08), (0.14, 0.02, -0.06))
"""OKLab (L, a, b): pale yellow, orange, purple, nearly black."""
WIDTH, LEFT, TOP, BOTTOM, KEY = 640, 44, 8, 40, 74
ROW = 34
Numbers = Sequence[float]


def color_of(share: float) -> str:
    """The sRGB color, "#rrggbb", of a value at `share` of the way from the least to the largest."""
    place = min(max(share, 0.0), 1.0) * (len(STOPS) - 1)
    first = min(int(place), len(STOPS) - 2)
    low, high = np.array(STOPS[first]), np.array(STOPS[first + 1])
    return "#" + "".join(f"{level:02x}" for level in _srgb(low + (high - low) * (place - first)))


def _srgb(lab: np.ndarray) -> list[int]:
    """8-bit sRGB of an OKLab color; the matrices are Ottosson's."""
    to_lms = np.array(
        [[1.0, 0.3963377774, 0.2158037573], [1.0, -0.1055613458, -0.0638541728], [1.0, -0.0894841775, -1.2914855480]]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = (to_rgb @ (to_lms @ lab) ** 3).clip(0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return [int(level) for level in np.rint(255.0 * encoded)]


def is_map(entry: Any) -> bool:
    """Whether it is what `spread_section` draws: numbers over elevations and azimuths, and the given directions."""
    if not isinstance(entry, Mapping):
        return False
    azimuth, elevation, rows = (entry.get(key, []) for key in ("azimuth_deg", "elevation_deg", "spread"))
    given = entry.get("given_deg", [])
    if not (_numbers(azimuth, 360) and _numbers(elevation, 90) and isinstance(rows, list) and isinstance(given, list)):
        return False
    fits = len(rows) == len(elevation) and all(_numbers(row, 360) and len(row) == len(azimuth) for row in rows)
    return fits and all(_numbers(pair, 2) and len(pair) == 2 for pair in given)


def spread_section(entry: Any, guesses: str) -> str:
    """The map of how far the prior's guesses lie apart, and under it `guesses`, pictures as HTML; empty without a map.

    entry: of metrics.json under SPREAD; see `is_map`.
    """
    if not is_map(entry):
        return ""
    text = (
        "<p>How far the prior's guesses from different noise lie apart in each direction: root mean square over "
        "color and opacity, per opaque pixel. The darker, the less sure, from the least to the largest value of this "
        "run. Circles: the given views. Where guesses differ, the mesh shows one of several possible objects.</p>"
    )
    chart = direction_map(entry["azimuth_deg"], entry["elevation_deg"], entry["spread"], entry.get("given_deg", []))
    return text + chart + (f'<div class="strip">{guesses}</div>' if guesses else "")


def least_sure(entry: Any) -> str:
    """The direction of the largest value of a map, in words; empty without a map."""
    if not is_map(entry):
        return ""
    _, i, j = max((value, i, j) for i, row in enumerate(entry["spread"]) for j, value in enumerate(row))
    return f"azimuth {entry['azimuth_deg'][j]:g}, elevation {entry['elevation_deg'][i]:g} degrees"


def direction_map(azimuth: Numbers, elevation: Numbers, rows: Sequence[Numbers], given: Sequence[Numbers] = ()) -> str:
    """rows [E][A] over rising elevations and evenly spaced azimuths, both in degrees; given: (azimuth, elevation) pairs
    that are marked by circles. A pointer over a cell is told its value."""
    values = [value for row in rows for value in row]
    low, high = min(values), max(values)
    plane = _Plane(azimuth, elevation)
    parts = []
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            x, y, width, height = plane.cell(i, j)
            color = color_of((value - low) / (high - low) if high > low else 0.0)
            about = f"azimuth {azimuth[j]:g}, elevation {elevation[i]:g} degrees: {value:.4g}"
            box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
            parts.append(f'<rect {box} fill="{color}"><title>{escape(about)}</title></rect>')
    parts += [plane.circle(*pair) for pair in given]
    parts += [*plane.labels(), *_key(low, high, plane.bottom)]
    label = "map over azimuth and elevation"
    size = f"0 0 {WIDTH} {plane.bottom + BOTTOM}"
    return f'<div class="chart"><svg viewBox="{size}" role="img" aria-label="{label}">{"".join(parts)}</svg></div>'


class _Plane:
    """Where a direction lies in the drawing; the azimuths begin half a cell left of the first."""

    def __init__(self, azimuth: Numbers, elevation: Numbers) -> None:
        self.azimuth, self.elevation = azimuth, elevation
        self.width = (WIDTH - LEFT - KEY) / len(azimuth)
        self.bottom = TOP + ROW * len(elevation)

    def cell(self, i: int, j: int) -> tuple[float, float, float, float]:
        """x, y, width, height of row i and column j."""
        return LEFT + self.width * j, self.bottom - ROW * (i + 1), self.width, ROW

    def circle(self, azimuth_deg: float, elevation_deg: float) -> str:
        """A mark at a direction; an elevation beyond the map is put on its edge."""
        turn = ((azimuth_deg - self.azimuth[0]) / 360.0 * len(self.azimuth) + 0.5) % len(self.azimuth)
        row = float(np.interp(elevation_deg, self.elevation, np.arange(len(self.elevation)))) + 0.5
        x, y = LEFT + self.width * turn, self.bottom - ROW * row
        about = f"<title>given view: azimuth {azimuth_deg:.4g}, elevation {elevation_deg:.4g} degrees</title>"
        place = f'cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none"'
        return "".join(
            f'<circle {place} stroke="{color}" stroke-width="{width}">{about}</circle>'
            for color, width in (("#ffffff", 5), ("#1a6bbf", 2.5))
        )

    def labels(self) -> list[str]:
        """Degrees at the rows, and at every quarter turn below the columns."""
        side = [
            _text(LEFT - 6, self.cell(i, 0)[1] + ROW / 2 + 4, angle, "end") for i, angle in enumerate(self.elevation)
        ]
        every = max(1, math.ceil(len(self.azimuth) / 8))
        below = [
            _text(LEFT + self.width * (j + 0.5), self.bottom + 16, angle, "middle")
            for j, angle in enumerate(self.azimuth)
            if j % every == 0
        ]
        middle = LEFT + self.width * len(self.azimuth) / 2
        name = f'<text x="{middle:.1f}" y="{self.bottom + 32}" text-anchor="middle">azimuth; upwards: elevation</text>'
        return [*side, *below, name]


def _text(x: float, y: float, angle_deg: float, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{angle_deg:.4g}\u00b0</text>'


def _key(low: float, high: float, bottom: int) -> list[str]:
    """The bar of colors at the right with its two ends."""
    steps, x = 24, WIDTH - KEY + 14
    height = (bottom - TOP) / steps
    bar = [
        f'<rect x="{x}" y="{bottom - height * (k + 1):.1f}" width="12" height="{height + 0.3:.1f}" '
        f'fill="{color_of(k / (steps - 1))}"/>'
        for k in range(steps)
    ]
    ends = [f'<text x="{x + 17}" y="{y}">{value:.3g}</text>' for y, value in ((bottom, low), (TOP + 10, high))]
    return bar + ends


def _numbers(values: Any, most: int) -> bool:
    return isinstance(values, list) and 0 < len(values) <= most and all(map(is_number, values))
