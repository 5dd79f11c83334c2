"""Plans with known rooms, drawn by the tests as PNG, PDF, SVG and DXF.

A plan is walls (a centerline and a thickness), openings in them, and everything that is no wall: text, dimension lines,
furniture. The rooms' areas are written down beside it, from the sizes that were drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from shapely.geometry import LineString, Point, Polygon
from shapely.ops import unary_union

FINE = 4
"""Pictures are drawn finer by this factor and averaged, as plotters' rasterizers do."""


@dataclass
class Opening:
    """In the wall from `start` to `stop` (points on its centerline, metres); doors swing to the left of that way."""

    kind: str
    start: tuple[float, float]
    stop: tuple[float, float]
    thickness: float

    @property
    def width(self) -> float:
        return float(np.hypot(*np.subtract(self.stop, self.start)))


@dataclass
class Drawn:
    """Centerlines with thickness, openings, thin lines, texts, and the truth: areas in reading order."""

    walls: list[tuple[np.ndarray, float]]
    openings: list[Opening]
    areas_m2: list[float]
    size_m: tuple[float, float]
    thin: list[np.ndarray] = field(default_factory=list)
    texts: list[tuple[str, tuple[float, float]]] = field(default_factory=list)
    bare: list[Opening] = field(default_factory=list)
    """Openings that are cut, but in which nothing is drawn."""

    def region(self):
        """The walls with the openings cut out."""
        solid = unary_union(
            [LineString(c).buffer(t / 2, cap_style="square", join_style="mitre") for c, t in self.walls]
        )
        cuts = [LineString([o.start, o.stop]).buffer(o.thickness / 2 + 0.01, cap_style="flat") for o in self.openings]
        return solid.difference(unary_union(cuts))

    def symbols(self) -> list[tuple[str, np.ndarray]]:
        """(kind, thin line) of every opening."""
        return [(o.kind, line) for o in self.openings if o not in self.bare for line in _symbol(o)]


def _symbol(o: Opening) -> list[np.ndarray]:
    start, stop = np.array(o.start), np.array(o.stop)
    way = stop - start
    left = np.array([-way[1], way[0]])
    side = left / np.hypot(*way) * o.thickness / 2
    if o.kind == "window":
        return [np.array([start + s * side, stop + s * side]) for s in (-0.98, 0.0, 0.98)]
    angle = np.linspace(0, np.pi / 2, 40)[:, None]
    hinge = start + side
    return [np.array([hinge, hinge + left]), hinge + np.cos(angle) * way + np.sin(angle) * left]


def arc(center: tuple[float, float], radius: float, start_deg: float, stop_deg: float, n: int = 90) -> np.ndarray:
    a = np.deg2rad(np.linspace(start_deg, stop_deg, n))
    return np.array(center) + radius * np.stack([np.cos(a), np.sin(a)], 1)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], float)


def dimension(a: tuple[float, float], b: tuple[float, float]) -> list[np.ndarray]:
    """A dimension line with slanted ticks."""
    ticks = [np.array([(x - 0.08, y - 0.08), (x + 0.08, y + 0.08)]) for x, y in (a, b)]
    return [np.array([a, b]), *ticks]


def two_rooms() -> Drawn:
    """Thick outer walls (0.3 m), a thin inner one (0.12 m)."""
    walls = [(rectangle(1.15, 1.15, 9.15, 6.15), 0.3), (np.array([(5.0, 1.15), (5.0, 6.15)]), 0.12)]
    openings = [
        Opening("door", (5.0, 2.0), (5.0, 2.9), 0.12),
        Opening("door", (2.0, 1.15), (3.0, 1.15), 0.3),
        Opening("window", (6.0, 6.15), (7.5, 6.15), 0.3),
        Opening("window", (1.15, 3.0), (1.15, 4.2), 0.3),
        Opening("window", (9.15, 3.0), (9.15, 5.0), 0.3),
    ]
    areas = [(5.0 - 0.06 - 1.3) * 4.7, (9.0 - 5.06) * 4.7]
    thin = [*dimension((1.0, 0.5), (9.3, 0.5)), *dimension((0.5, 1.0), (0.5, 6.3)), rectangle(6.0, 1.6, 8.0, 3.2)]
    return Drawn(walls, openings, areas, (10.5, 7.5), thin, [("Kitchen", (2.6, 3.6)), ("Bed room", (6.6, 4.0))])


def four_rooms() -> Drawn:
    """Thin walls only (0.1 m), a corridor, furniture and a double bed."""
    walls = [
        (rectangle(1.0, 1.0, 9.0, 8.0), 0.1),
        (np.array([(1.0, 4.0), (9.0, 4.0)]), 0.1),
        (np.array([(1.0, 5.3), (9.0, 5.3)]), 0.1),
        (np.array([(5.0, 5.3), (5.0, 8.0)]), 0.1),
    ]
    openings = [
        Opening("door", (2.0, 4.0), (2.8, 4.0), 0.1),
        Opening("door", (2.0, 5.3), (2.8, 5.3), 0.1),
        Opening("door", (7.0, 5.3), (7.8, 5.3), 0.1),
        Opening("door", (9.0, 4.2), (9.0, 5.1), 0.1),
        Opening("window", (2.0, 8.0), (3.4, 8.0), 0.1),
        Opening("window", (6.0, 8.0), (7.4, 8.0), 0.1),
        Opening("window", (4.0, 1.0), (6.0, 1.0), 0.1),
    ]
    areas = [3.9 * 2.6, 3.9 * 2.6, 7.9 * 1.2, 7.9 * 2.9]
    bed = [rectangle(5.3, 1.5, 7.1, 3.5), rectangle(5.4, 3.0, 6.1, 3.4), arc((8.0, 2.0), 0.4, 0, 360)]
    names = [("Bath", (1.6, 6.8)), ("Study", (5.6, 6.8)), ("Hall 9.5 m2", (4.0, 4.5)), ("Living", (2.0, 2.2))]
    return Drawn(walls, openings, areas, (10.0, 9.0), [*bed, *dimension((1.0, 8.6), (9.0, 8.6))], names)


def bay() -> Drawn:
    """A room that ends in a half circle, with a window in the curve, beside a square one."""
    outline = np.concatenate([[(4.0, 1.0)], arc((4.0 + 2.0, 3.0), 2.0, -90, 90), [(4.0, 5.0)]])
    walls = [(rectangle(1.0, 1.0, 4.0, 5.0), 0.2), (outline, 0.2)]
    openings = [
        Opening("door", (4.0, 2.0), (4.0, 2.9), 0.2),
        Opening("door", (1.0, 4.0), (1.0, 3.0), 0.2),
        Opening("window", (1.6, 5.0), (3.2, 5.0), 0.2),
    ]
    areas = [2.8 * 3.8, 1.9 * 3.8 + np.pi * 1.9**2 / 2]
    return Drawn(
        walls,
        openings,
        areas,
        (9.0, 6.5),
        [rectangle(1.5, 1.4, 2.5, 2.0)],
        [("Hall", (2.2, 3.0)), ("Salon", (5.0, 3.0))],
    )


def round_hall() -> Drawn:
    """A ring wall with a door and a window in its curve; a thin wall across divides it in halves."""
    center, radius, thick = (4.0, 4.0), 3.0, 0.25
    at = lambda deg: tuple(arc(center, radius, deg, deg, 1)[0])
    half = np.rad2deg(0.5 / radius)
    walls = [(arc(center, radius, 0, 360, 361), thick), (np.array([(1.0, 4.0), (7.0, 4.0)]), 0.1)]
    openings = [
        Opening("door", at(270 - half), at(270 + half), thick + 0.05),
        Opening("window", at(60 + half), at(60 - half), thick + 0.05),
        Opening("door", (3.6, 4.0), (4.5, 4.0), 0.1),
    ]
    inner = radius - thick / 2
    area = np.pi * inner**2 / 2 - inner * 0.1  # less than a thousandth off the circle's segment
    return Drawn(walls, openings, [area, area], (8.5, 8.0), [rectangle(2.5, 5.0, 3.5, 5.8)], [("Salon", (3.0, 4.5))])


def slanted() -> Drawn:
    """A house with one slanted outer wall, a door and a window in it, and a wall across."""
    corners = np.array([(1.0, 1.0), (9.0, 1.0), (9.0, 5.0), (5.0, 8.0), (1.0, 8.0), (1.0, 1.0)])
    walls = [(corners, 0.2), (np.array([(5.0, 1.0), (5.0, 8.0)]), 0.12)]
    along = lambda t: (9.0 - 4.0 * t, 5.0 + 3.0 * t)
    openings = [
        Opening("window", along(0.3), along(0.62), 0.2),
        Opening("door", (5.0, 3.0), (5.0, 3.9), 0.12),
        Opening("door", (2.0, 1.0), (3.0, 1.0), 0.2),
        Opening("window", (1.0, 5.0), (1.0, 6.5), 0.2),
    ]
    left = Polygon([(1.1, 1.1), (4.94, 1.1), (4.94, 7.9), (1.1, 7.9)])
    whole = Polygon(corners).buffer(-0.1, join_style="mitre")
    right = whole.intersection(Polygon([(5.06, 0.0), (10.0, 0.0), (10.0, 9.0), (5.06, 9.0)]))
    thin = [*dimension((1.0, 0.5), (9.0, 0.5)), *dimension((0.5, 1.0), (0.5, 8.0)), rectangle(6.0, 1.5, 8.0, 3.0)]
    texts = [("Office", (2.4, 4.6)), ("Studio", (6.4, 4.2))]
    return Drawn(walls, openings, [left.area, right.area], (10.0, 9.0), thin, texts)


def six_rooms() -> Drawn:
    """Outer walls of 0.35 m, a bearing wall of 0.24 m, partitions of 0.1 m; every room labelled and dimensioned."""
    walls = [
        (rectangle(1.0, 1.0, 13.0, 9.0), 0.35),
        (np.array([(1.0, 5.0), (13.0, 5.0)]), 0.24),
        *((np.array([(x, 5.0), (x, 9.0)]), 0.1) for x in (5.0, 9.0)),
        *((np.array([(x, 1.0), (x, 5.0)]), 0.1) for x in (4.0, 10.0)),
    ]
    openings = [
        *(Opening("window", (x, 9.0), (x + 1.5, 9.0), 0.35) for x in (2.2, 6.2, 10.2)),
        *(Opening("door", (x, 5.0), (x + 0.9, 5.0), 0.24) for x in (2.4, 6.4, 11.0)),
        Opening("door", (4.0, 2.0), (4.0, 2.8), 0.1),
        Opening("door", (10.0, 2.0), (10.0, 2.8), 0.1),
        Opening("door", (6.5, 1.0), (7.5, 1.0), 0.35),
        Opening("window", (1.0, 2.2), (1.0, 3.4), 0.35),
        Opening("window", (13.0, 2.2), (13.0, 3.4), 0.35),
    ]
    above, below = 9.0 - 0.175 - 5.12, 4.88 - 1.175
    widths = [5.0 - 0.05 - 1.175, 9.0 - 5.0 - 0.1, 13.0 - 0.175 - 9.05]
    lower = [4.0 - 0.05 - 1.175, 10.0 - 4.0 - 0.1, 13.0 - 0.175 - 10.05]
    areas = [*(w * above for w in widths), *(w * below for w in lower)]
    thin = [*dimension((1.0, 0.4), (13.0, 0.4)), *dimension((0.4, 1.0), (0.4, 9.0)), *dimension((1.3, 6.0), (4.8, 6.0))]
    names = ("Child 1", "Child 2", "Parents", "Bath 10.3 m2", "Hall", "Kitchen")
    places = ((2.3, 7.2), (6.4, 7.2), (10.3, 7.2), (1.7, 4.0), (6.2, 3.4), (10.6, 4.0))
    return Drawn(walls, openings, areas, (14.0, 10.0), thin, list(zip(names, places)))


PLANS = {
    "two_rooms": two_rooms,
    "four_rooms": four_rooms,
    "bay": bay,
    "round": round_hall,
    "slanted": slanted,
    "six_rooms": six_rooms,
}


def write_png(plan: Drawn, path: Path, mm_per_px: float, *, dark: int = 20) -> Path:
    """Walls filled, everything else in thin lines of one to two pixels, texts by Pillow's own font."""
    scale = FINE * 1000.0 / mm_per_px
    width, height = (round(side * scale / FINE) * FINE for side in plan.size_m)
    image = Image.new("L", (width, height), 250)
    pen = ImageDraw.Draw(image)
    to_px = lambda points: [(x * scale, height - y * scale) for x, y in np.asarray(points)]
    region = plan.region()
    for polygon in getattr(region, "geoms", [region]):
        pen.polygon(to_px(polygon.exterior.coords), fill=dark)
        for hole in polygon.interiors:
            pen.polygon(to_px(hole.coords), fill=250)
    for line in [*plan.thin, *(line for _, line in plan.symbols())]:
        pen.line(to_px(line), fill=dark, width=round(1.3 * FINE))
    for text, at in plan.texts:
        pen.text(to_px([at])[0], text, fill=dark, font_size=round(0.3 * scale))
    image.resize((width // FINE, height // FINE), Image.Resampling.BOX).save(path)
    return path


def write_pdf(plan: Drawn, path: Path, scale: float) -> Path:
    """A PDF of one page 1:scale, written by hand: filled walls, hairlines, Helvetica."""
    unit = 1000.0 / scale / 25.4 * 72.0
    to_pt = lambda points: [(x * unit, y * unit) for x, y in np.asarray(points)]
    pieces = ["0 g 0.5 w"]
    region = plan.region()
    for polygon in getattr(region, "geoms", [region]):
        for ring in (polygon.exterior, *polygon.interiors):
            (x, y), *rest = to_pt(ring.coords)
            pieces.append(f"{x:.3f} {y:.3f} m " + " ".join(f"{a:.3f} {b:.3f} l" for a, b in rest) + " h")
        pieces.append("f*")
    for line in [*plan.thin, *(line for _, line in plan.symbols())]:
        (x, y), *rest = to_pt(line)
        pieces.append(f"{x:.3f} {y:.3f} m " + " ".join(f"{a:.3f} {b:.3f} l" for a, b in rest) + " S")
    for text, at in plan.texts:
        (x, y) = to_pt([at])[0]
        pieces.append(f"BT /F1 9 Tf {x:.2f} {y:.2f} Td ({text}) Tj ET")
    stream = "\n".join(pieces).encode()
    media = f"[0 0 {plan.size_m[0] * unit:.2f} {plan.size_m[1] * unit:.2f}]"
    fonts = b"<< /Font << /F1 5 0 R >> >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox %s /Contents 4 0 R /Resources %s >>" % (media.encode(), fonts),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(data)
    data += (
        b"xref\n0 6\n0000000000 65535 f \n"
        + table
        + b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start
    )
    path.write_bytes(data)
    return path


def write_svg(plan: Drawn, path: Path, mm_per_unit: float, *, strokes: bool = False) -> Path:
    """Walls as filled paths, or with `strokes` as wide strokes between the openings; groups are the layers."""
    unit = 1000.0 / mm_per_unit
    width, height = (side * unit for side in plan.size_m)
    at = lambda points: " ".join(f"{x * unit:.3f},{height - y * unit:.3f}" for x, y in np.asarray(points))
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.1f}" height="{height:.1f}">', '<g id="walls">']
    region = plan.region()
    if strokes:
        for center, thickness in plan.walls:
            cuts = [
                Point(np.mean([o.start, o.stop], 0)).buffer(np.hypot(*np.subtract(o.stop, o.start)) / 2)
                for o in plan.openings
            ]
            left = LineString(center).difference(unary_union(cuts))
            for piece in getattr(left, "geoms", [left]):
                lines.append(
                    f'<polyline points="{at(piece.coords)}" fill="none" stroke="black" '
                    f'stroke-width="{thickness * unit:.3f}" stroke-linecap="square"/>'
                )
    else:
        for polygon in getattr(region, "geoms", [region]):
            rings = [f"M {at(ring.coords)} Z" for ring in (polygon.exterior, *polygon.interiors)]
            lines.append(f'<path d="{" ".join(rings)}" fill="#222" fill-rule="evenodd"/>')
    lines.append('</g><g id="other" fill="none" stroke="black" stroke-width="0.7">')
    lines += [f'<polyline points="{at(line)}"/>' for line in [*plan.thin, *(line for _, line in plan.symbols())]]
    lines.append("</g>")
    lines += [
        f'<text x="{x * unit:.2f}" y="{height - y * unit:.2f}" font-size="14">{text}</text>'
        for text, (x, y) in plan.texts
    ]
    path.write_text("\n".join([*lines, "</svg>"]), encoding="utf-8")
    return path


def write_dxf(plan: Drawn, path: Path, *, unit_mm: float = 1.0, insunits: int = 4, style: str = "outline") -> Path:
    """style: outline (closed polylines on A-WALL), hatch (solid hatches), double (single LINEs on WALLS)."""
    import ezdxf

    document = ezdxf.new("R2010")
    document.header["$INSUNITS"] = insunits
    space, unit = document.modelspace(), 1000.0 / unit_mm
    layer = {"outline": "A-WALL", "hatch": "0", "double": "WALLS"}[style]
    for name in ("A-WALL", "WALLS", "A-DOOR", "A-GLAZ", "FURNITURE", "TEXT"):
        document.layers.add(name)
    region = plan.region()
    hatch = space.add_hatch(dxfattribs={"layer": layer}) if style == "hatch" else None
    for polygon in getattr(region, "geoms", [region]):
        for ring in (polygon.exterior, *polygon.interiors):
            points = (np.asarray(ring.coords)[:-1] * unit).tolist()
            if hatch is not None:
                hatch.paths.add_polyline_path(points, is_closed=True, flags=1 if ring is polygon.exterior else 16)
            elif style == "outline":
                space.add_lwpolyline(points, close=True, dxfattribs={"layer": layer})
            else:
                for a, b in zip(points, points[1:] + points[:1]):
                    space.add_line(a, b, dxfattribs={"layer": layer})
    for number, opening in enumerate(o for o in plan.openings if o not in plan.bare):
        block = document.blocks.new(f"{opening.kind.upper()}_{number}")
        for line in _symbol(opening):
            block.add_lwpolyline((line * unit).tolist())
        space.add_blockref(block.name, (0, 0), dxfattribs={"layer": "A-DOOR" if opening.kind == "door" else "A-GLAZ"})
    for line in plan.thin:
        space.add_lwpolyline((line * unit).tolist(), dxfattribs={"layer": "FURNITURE"})
    for text, at in plan.texts:
        space.add_text(
            text, dxfattribs={"layer": "TEXT", "height": 0.2 * unit, "insert": np.multiply(at, unit).tolist()}
        )
    space.add_linear_dim(base=(0, -unit), p1=(unit, unit), p2=(9 * unit, unit)).render()
    document.saveas(path)
    return path
