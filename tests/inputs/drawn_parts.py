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
    """Sunk into the side that a view shows: (view, (across, up), how deep), about the view's middle."""

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
        return solid


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
    """The visible outline [4, 2] of every pocket, in the view that looks into it."""
    return [np.array([(-u, -v), (u, -v), (u, v), (-u, v)]) / 2 for other, (u, v), _ in part.pockets if other == view]


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
        for line in hidden_lines(part, view):
            space.add_line(*(line * factor + middle).tolist(), dxfattribs={"layer": "HIDDEN"})
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
        for line in hidden_lines(part, view):
            a, b = line + middle
            n = int(np.hypot(*(b - a)) / (16 * mm_per_px)) + 1
            for k in range(n):
                t = np.array([k, k + 0.6])[:, None] / n
                pen.line(px(a + t * (b - a)), fill=0, width=FINE)
        w, h = part.extents(view)
        a, b = middle - at(w / 2, h / 2 + 10), middle + at(w / 2, -h / 2 - 10)
        pen.line(px([a, b]), fill=0, width=FINE)
        for end in (a, b):
            pen.line(px([end - at(0, 2), end + at(0, 8)]), fill=0, width=FINE)
        pen.text(px([middle - at(5, h / 2 + 9)])[0], f"{w:g}", fill=0, font_size=round(5 * scale))
    image.resize((width // FINE, height // FINE), Image.Resampling.BOX).save(path)
    return path


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
