"""Mechanical parts by manifold3d and their views as PNG and DXF: outlines, hidden lines, center lines, dimensions.

A part is three profiles (front, top, side) extruded and intersected, with holes drilled through along the axes. Lengths
are millimetres; x is the depth (front at +x), y the width, z the height.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import manifold3d
import numpy as np
from PIL import Image, ImageDraw

FINE, GAP_MM = 4, 30.0
AXES = {"front": (1, 2, 1.0), "top": (1, 0, -1.0), "right": (0, 2, -1.0)}
"""View -> world axis across, world axis up, sign of the one that is x."""


@dataclass
class Part:
    """size: (depth, width, height); profiles by view, from its middle; holes as (view, u, v, radius)."""

    size: tuple[float, float, float]
    profiles: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    holes: list[tuple[str, float, float, float]] = field(default_factory=list)
    pockets: list[tuple[str, tuple[float, float], float]] = field(default_factory=list)
    """Sunk into the side that a view shows: (view, (across, up), how deep), about the view's middle. No line but the
    outline tells how deep."""
    blind: list[tuple[str, float, float, float, float]] = field(default_factory=list)
    """Round and drawn with hidden lines: (view, u, v, radius, how deep), from the far side where deep is negative."""
    base: tuple[str, float] | None = None
    """All but the bosses ends this thick over the far side: (view, thickness)."""
    bosses: list[tuple[float, float, float]] = field(default_factory=list)
    """Round, on the base, as high as the box: (u, v, radius) in the base's view."""

    def extents(self, view: str) -> tuple[float, float]:
        across, up, _ = AXES[view]
        return self.size[across], self.size[up]

    def solid(self) -> manifold3d.Manifold:
        solid = manifold3d.Manifold.cube(self.size, True)
        for view, points in self.profiles.items():
            solid ^= _along(view, manifold3d.CrossSection([points]))
        for view, u, v, radius in self.holes:
            solid -= _along(view, manifold3d.CrossSection.circle(radius, 96).translate((u, v)))
        for view, (u, v), deep in self.pockets:
            step = np.zeros(3)
            third = 3 - AXES[view][0] - AXES[view][1]
            step[third] = self.size[third] - deep
            half = np.array(self.size)
            half[AXES[view][0]], half[AXES[view][1]] = u, v
            solid -= manifold3d.Manifold.cube(tuple(half), True).translate(tuple(step))
        if self.base:
            view, thick = self.base
            stand = self._between(view, -1.0, thick)
            for u, v, radius in self.bosses:
                stand += _along(view, manifold3d.CrossSection.circle(radius, 96).translate((u, v)))
            solid ^= stand
        for view, u, v, radius, deep in self.blind:
            drill = _along(view, manifold3d.CrossSection.circle(radius, 96).translate((u, v)))
            high = self.size[3 - AXES[view][0] - AXES[view][1]]
            solid -= drill ^ (
                self._between(view, high - deep, high + 1) if deep > 0 else self._between(view, -1, -deep)
            )
        return solid

    def _between(self, view: str, low: float, high: float) -> manifold3d.Manifold:
        """All between two heights over the side that is farthest from a view."""
        third = 3 - AXES[view][0] - AXES[view][1]
        half, step = np.full(3, 2000.0), np.zeros(3)
        half[third], step[third] = high - low, (low + high) / 2 - self.size[third] / 2
        return manifold3d.Manifold.cube(tuple(half), True).translate(tuple(step))


def _along(view: str, section: manifold3d.CrossSection) -> manifold3d.Manifold:
    across, up, sign = AXES[view]
    raised = manifold3d.Manifold.extrude(section, 1000.0).translate((0, 0, -500.0))
    turn = np.zeros((3, 4))
    turn[across, 0] = sign if across == 0 else 1.0
    turn[up, 1] = sign if up == 0 else 1.0
    turn[3 - across - up, 2] = np.linalg.det(np.column_stack([turn[:, 0], turn[:, 1], np.eye(3)[3 - across - up]]))
    return raised.transform(turn)


def silhouette(part: Part, view: str) -> list[np.ndarray]:
    """Rings of the projection by manifold3d, from the middle of the part's box."""
    across, up, sign = AXES[view]
    turn = np.zeros((3, 4))
    turn[0, across] = sign if across == 0 else 1.0
    turn[1, up] = sign if up == 0 else 1.0
    third = 3 - across - up
    turn[2, third] = np.linalg.det(np.stack([turn[0, :3], turn[1, :3], np.eye(3)[third]]))
    return [np.asarray(ring) for ring in part.solid().transform(turn).project().to_polygons()]


def inner_lines(part: Part, view: str) -> list[np.ndarray]:
    """The visible outline [n, 2] of every pocket, blind hole and boss, in the view that looks onto it."""
    found = [np.array([(-u, -v), (u, -v), (u, v), (-u, v)]) / 2 for other, (u, v), _ in part.pockets if other == view]
    circles = [blind[1:4] for blind in part.blind if blind[0] == view and blind[4] > 0]
    circles += part.bosses if part.base and part.base[0] == view else []
    return found + [ring_of(*circle) for circle in circles]


def ring_of(u: float, v: float, radius: float) -> np.ndarray:
    """A circle [96, 2]."""
    turn = np.arange(96) * np.pi / 48
    return np.stack([u + radius * np.cos(turn), v + radius * np.sin(turn)], axis=1)


def inner_strokes(part: Part, view: str) -> list[np.ndarray]:
    """Visible lines [2, 2] that close no region by themselves: the base's upper edge, seen from the side."""
    if part.base is None or part.base[0] == view:
        return []
    across, _, _ = AXES[view]
    third = 3 - AXES[part.base[0]][0] - AXES[part.base[0]][1]
    size = np.array(part.extents(view))
    line = np.array([-size / 2, size / 2])
    sign = AXES[view][2] if third == 0 else 1.0
    line[:, 0 if third == across else 1] = sign * (part.base[1] - part.size[third] / 2)
    return [line]


def sunk_lines(part: Part, view: str) -> list[np.ndarray]:
    """Hidden lines [n, 2] of the blind holes: their sides and floors across this view, their circles from behind."""
    across, up, sign = AXES[view]
    found = []
    for other, u, v, radius, deep in part.blind:
        if other == view:
            found += [np.concatenate([ring_of(u, v, radius), ring_of(u, v, radius)[:1]])] if deep < 0 else []
            continue
        there, third = AXES[other][:2], 3 - AXES[other][0] - AXES[other][1]
        shown = across if across in there else up
        value = _turned(other, shown, (u, v)) * (sign if shown == 0 else 1.0)
        high = part.size[third] / 2
        levels = np.array([high - deep, high] if deep > 0 else [-high, -high - deep])
        levels = levels * (sign if third == 0 else 1.0)
        floor = levels[0] if deep > 0 else levels[1]
        for a, b in (
            ((value - radius, levels[0]), (value - radius, levels[1])),
            ((value + radius, levels[0]), (value + radius, levels[1])),
            ((value - radius, floor), (value + radius, floor)),
        ):
            line = np.array([a, b])
            found.append(line if shown == across else line[:, ::-1])
    return found


def _turned(view: str, axis: int, at: tuple[float, float]) -> float:
    """The world coordinate along an axis of a point of a view."""
    place = AXES[view][:2].index(axis)
    return at[place] * (AXES[view][2] if axis == 0 else 1.0)


def hidden_lines(part: Part, view: str) -> list[np.ndarray]:
    """Both edges of every hole that is drilled across this view, through all of the box."""
    across, up, _ = AXES[view]
    size, found = np.array(part.extents(view)), []
    for other, u, v, radius in part.holes:
        for axis, value in zip(AXES[other][:2], (u, v)):
            if other == view or axis not in (across, up):
                continue
            there = AXES[other][2] if axis == 0 else 1.0
            here = AXES[view][2] if axis == 0 else 1.0
            middle = value * there * here
            place = 0 if axis == across else 1
            for edge in (middle - radius, middle + radius):
                line = np.array([-size / 2, size / 2])
                line[:, place] = edge
                found.append(line)
    return found


def at(x: float, y: float) -> np.ndarray:
    return np.array([x, y])


def layout(part: Part, angle: str = "third") -> dict[str, np.ndarray]:
    """The middle of each view on the sheet, in mm. First angle as a swap: the top view below."""
    (w, h), (_, d), (across, _) = (part.extents(view) for view in ("front", "top", "right"))
    front = np.array([60 + w / 2, 60 + h / 2 + (d + GAP_MM if angle == "first" else 0.0)])
    top = front + at(0, (h + d) / 2 + GAP_MM) if angle == "third" else front - at(0, (h + d) / 2 + GAP_MM)
    return {"front": front, "top": top, "right": front + at((w + across) / 2 + GAP_MM, 0)}


def write_dxf(part: Part, path: Path, angle: str = "third", stretch: dict[str, float] | None = None) -> Path:
    import ezdxf

    document = ezdxf.new("R2010", setup=True)
    document.header["$INSUNITS"] = 4
    space = document.modelspace()
    for name, kind in (("OUTLINE", "CONTINUOUS"), ("HIDDEN", "DASHED"), ("CENTER", "CENTER"), ("DIM", "CONTINUOUS")):
        document.layers.add(name, linetype=kind)
    for view, middle in layout(part, angle).items():
        factor = (stretch or {}).get(view, 1.0)
        for ring in silhouette(part, view):
            points = (ring * factor + middle).tolist()
            space.add_lwpolyline(points, close=True, dxfattribs={"layer": "OUTLINE"})
        for ring in inner_lines(part, view):
            space.add_lwpolyline((ring * factor + middle).tolist(), close=True, dxfattribs={"layer": "OUTLINE"})
        for line in inner_strokes(part, view):
            space.add_line(*(line * factor + middle).tolist(), dxfattribs={"layer": "OUTLINE"})
        for line in [*hidden_lines(part, view), *sunk_lines(part, view)]:
            space.add_lwpolyline((line * factor + middle).tolist(), dxfattribs={"layer": "HIDDEN"})
        w, h = part.extents(view)
        space.add_line(middle - at(0, h / 2 + 5), middle + at(0, h / 2 + 5), dxfattribs={"layer": "CENTER"})
        a, b = middle - at(w / 2, h / 2 + 10), middle + at(w / 2, -h / 2 - 10)
        space.add_lwpolyline([a, b, b + at(0, 4), a + at(0, 4)], close=True, dxfattribs={"layer": "DIM"})
    space.add_text("PART 7", dxfattribs={"layer": "TEXT", "insert": (10, 10), "height": 5})
    document.saveas(path)
    return path


def write_png(part: Part, path: Path, mm_per_px: float, angle: str = "third") -> Path:
    middles = layout(part, angle)
    reach = [m + np.array(part.extents(v)) / 2 + 40 for v, m in middles.items()]
    width, height = (int(np.ceil(side / mm_per_px)) * FINE for side in np.max(reach, axis=0))
    scale = FINE / mm_per_px
    image = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(image)
    px = lambda points: [(x * scale, height - y * scale) for x, y in points]
    for view, middle in middles.items():
        for ring in silhouette(part, view):
            closed = [*px(ring + middle), px(ring[:1] + middle)[0], px(ring[1:2] + middle)[0]]
            pen.line(closed, fill=0, width=2 * FINE, joint="curve")
        for ring in inner_lines(part, view):
            pen.line(px(np.concatenate([ring, ring[:2]]) + middle), fill=0, width=2 * FINE, joint="curve")
        for line in inner_strokes(part, view):
            pen.line(px(line + middle), fill=0, width=2 * FINE)
        for line in [*hidden_lines(part, view), *sunk_lines(part, view)]:
            _dashed(pen, line + middle, px, 16 * mm_per_px)
        w, h = part.extents(view)
        a, b = middle - at(w / 2, h / 2 + 10), middle + at(w / 2, -h / 2 - 10)
        pen.line(px([a, b]), fill=0, width=FINE)
        for end in (a, b):
            pen.line(px([end - at(0, 2), end + at(0, 8)]), fill=0, width=FINE)
        pen.text(px([middle - at(5, h / 2 + 9)])[0], f"{w:g}", fill=0, font_size=round(5 * scale))
    image.resize((width // FINE, height // FINE), Image.Resampling.BOX).save(path)
    return path


def _dashed(pen: ImageDraw.ImageDraw, line: np.ndarray, px, period: float) -> None:
    """A path [n, 2] in millimetres as dashes of 60 % of about a period."""
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    n = int(steps[-1] / period) + 1
    for k in range(n):
        t = np.linspace(k, k + 0.6, 8) / n * steps[-1]
        pen.line(px(np.stack([np.interp(t, steps, line[:, i]) for i in (0, 1)], axis=1)), fill=0, width=FINE)


def twenty_parts() -> list[Part]:
    """Blocks, brackets, channels, wedges, plates and flanges of many sizes, with and without holes."""
    parts = []
    for k in range(20):
        rng = np.random.default_rng(k)
        d, w, h = (float(v) for v in rng.integers(40, 120, 3))
        t, x, y, z = 0.25 * min(d, w, h), d / 2, w / 2, h / 2
        ell = [(-y, -z), (y, -z), (y, t - z), (t - y, t - z), (t - y, z), (-y, z)]
        channel = [(-y, -z), (y, -z), (y, z), (y - t, z), (y - t, t - z), (t - y, t - z), (t - y, z), (-y, z)]
        wedge = [(-x, -z), (x, -z), (x, z), (-x, t - z)]
        plate = [(t - y, -x), (y, -x), (y, x - t), (y - t, x), (-y, x), (-y, t - x)]
        round_ = [(y * np.cos(a), z * np.sin(a)) for a in np.arange(32) * np.pi / 16]
        corner, middle = [("top", y - 1.5 * t, 1.5 * t - x, 0.5 * t)], [("front", 0.0, 0.0, 0.6 * t)]
        kinds = [
            ({}, middle),
            ({"front": ell}, []),
            ({"front": channel}, []),
            ({"right": wedge}, []),
            ({"top": plate}, corner),
            ({"front": round_}, middle),
            ({"front": ell, "top": plate}, []),
        ]
        parts.append(Part((d, w, h), *kinds[k % 7]))
    return parts


def hull(part: Part) -> manifold3d.Manifold:
    """The largest solid with the part's three silhouettes, by manifold3d from the silhouettes themselves."""
    prisms = [
        _along(view, manifold3d.CrossSection([ring.tolist() for ring in silhouette(part, view)])) for view in AXES
    ]
    return manifold3d.Manifold.batch_boolean(prisms, manifold3d.OpType.Intersect)


def open_parts() -> list[Part]:
    """Blocks with a pocket from above, a blind hole from the front, or both: no silhouette shows these."""
    return [
        Part((80.0, 100.0, 60.0), pockets=[("top", (60.0, 50.0), 30.0)]),
        Part((70.0, 70.0, 90.0), pockets=[("front", (40.0, 60.0), 45.0)]),
        Part((100.0, 60.0, 60.0), pockets=[("top", (36.0, 70.0), 25.0), ("front", (30.0, 30.0), 20.0)]),
    ]


def stepped_parts() -> list[Part]:
    """Parts whose inner lines say what no silhouette does: blind holes, counterbores, bosses, pockets from behind."""
    return [
        Part((80.0, 100.0, 60.0), blind=[("top", 10.0, -8.0, 18.0, 35.0)]),
        Part((70.0, 90.0, 60.0), blind=[("front", -15.0, 5.0, 14.0, 40.0), ("right", 10.0, 0.0, 8.0, 12.0)]),
        Part((80.0, 80.0, 50.0), blind=[("top", 5.0, 5.0, 24.0, 15.0), ("top", 5.0, 5.0, 11.0, 50.0)]),
        Part((90.0, 120.0, 50.0), base=("top", 20.0), bosses=[(0.0, 0.0, 25.0)]),
        Part((90.0, 120.0, 50.0), base=("top", 20.0), bosses=[(-30.0, -20.0, 12.0), (32.0, 22.0, 14.0)]),
        Part((60.0, 100.0, 80.0), base=("front", 25.0), bosses=[(-25.0, 18.0, 15.0), (25.0, -15.0, 18.0)]),
        Part((80.0, 100.0, 60.0), blind=[("top", -20.0, 12.0, 16.0, -30.0)]),
        Part((80.0, 110.0, 60.0), base=("top", 30.0), bosses=[(0.0, 5.0, 28.0)], blind=[("top", 0.0, 5.0, 12.0, 40.0)]),
    ]
