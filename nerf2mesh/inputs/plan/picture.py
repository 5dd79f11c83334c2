"""A plan drawn as it was understood: walls, rooms by color, openings, and where walls are open."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from nerf2mesh.inputs.plan.kinds import Plan

SIDE_PX = 1000
MARGIN_PX = 80
WALL, RED = (60, 60, 64), (214, 40, 40)
OPENING = {"door": (150, 96, 52), "window": (70, 130, 190), "passage": (150, 150, 150)}
RGB = tuple[int, int, int]


def plan_picture(plan: Plan, colors: list[tuple[float, float, float]]) -> UInt8[np.ndarray, "h w 3"]:
    """Walls dark, each room in its color (sRGB in [0, 1]) with its name and area, doors brown, windows blue."""
    canvas = _Canvas(plan.walls)
    for room, color in zip(plan.rooms, colors):
        r, g, b = (round(255 * c) for c in color)
        canvas.fill(room.region, (r, g, b))
    canvas.fill(plan.walls, WALL)
    for opening in plan.openings:
        canvas.fill(opening.gap.region, OPENING[opening.kind])
    for room in plan.rooms:
        at = room.region.representative_point()
        canvas.write(f"{room.name}\n{room.area_m2:.2f} m²", (at.x, at.y))
    for opening in plan.openings:
        canvas.write(opening.name, opening.gap.middle, small=True)
    return np.asarray(canvas.image)


def gap_picture(walls: Any, gaps: tuple[tuple[float, float], ...]) -> Image.Image:
    """Walls dark, a red circle about each open place."""
    canvas = _Canvas(walls)
    canvas.fill(walls, WALL)
    for x, y in gaps:
        canvas.circle((x, y), 0.6, RED)
        canvas.write(f"open at x {x:.2f} m, y {y:.2f} m", (x, y - 0.8))
    return canvas.image


class _Canvas:
    """White paper on which metres are drawn, y up."""

    def __init__(self, region: Any) -> None:
        low_x, low_y, high_x, high_y = region.bounds
        self.scale = (SIDE_PX - 2 * MARGIN_PX) / max(high_x - low_x, high_y - low_y, 1e-6)
        self.low_x, self.high_y = low_x, high_y
        size = (
            round((high_x - low_x) * self.scale) + 2 * MARGIN_PX,
            round((high_y - low_y) * self.scale) + 2 * MARGIN_PX,
        )
        self.image = Image.new("RGB", size, (255, 255, 255))
        self.pen = ImageDraw.Draw(self.image)

    def px(self, points: Any) -> list[tuple[float, float]]:
        """Pixels of points [n, 2] in metres."""
        return [
            (MARGIN_PX + (x - self.low_x) * self.scale, MARGIN_PX + (self.high_y - y) * self.scale) for x, y in points
        ]

    def fill(self, region: Any, color: RGB) -> None:
        """A region with its holes left as they are."""
        mask = Image.new("L", self.image.size, 0)
        pen = ImageDraw.Draw(mask)
        for polygon in getattr(region, "geoms", [region]):
            pen.polygon(self.px(polygon.exterior.coords), fill=255)
            for hole in polygon.interiors:
                pen.polygon(self.px(hole.coords), fill=0)
        self.image.paste(color, (0, 0), mask)

    def circle(self, at: tuple[float, float], radius_m: float, color: RGB) -> None:
        """A ring."""
        (x, y), r = self.px([at])[0], max(radius_m * self.scale, 14.0)
        self.pen.ellipse((x - r, y - r, x + r, y + r), outline=color, width=5)

    def write(self, text: str, at: tuple[float, float], *, small: bool = False) -> None:
        """Text about a point, dark on white."""
        (x, y), size = self.px([at])[0], 13 if small else 17
        self.pen.multiline_text(
            (x, y),
            text,
            fill=(20, 20, 20),
            font_size=size,
            anchor="mm",
            align="center",
            stroke_width=2,
            stroke_fill="white",
        )
