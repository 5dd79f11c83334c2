"""Walls in a DXF or SVG: filled areas, wide strokes, and closed outlines (single ones, nested ones, double lines).

Outlines are cut at their crossings and closed into faces; a face is wall where no disc of more than `input.wall_max_m`
fits into it, and room where one does.
"""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry import LineString, Point, Polygon
from shapely.ops import polygonize

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.linework.dxf import joined
from nerf2mesh.inputs.linework.kinds import Area, Line, Linework, layer_matches
from nerf2mesh.inputs.linework.svg import stroke_region
from nerf2mesh.inputs.plan.kinds import Near, Walls

WALL = ("wall", "wand", "waende", "mauer", "mur", "muro", "pared", "parete", "parede", "vaegg", "seina", "kabe")
DOOR = ("door", "tuer", "porte", "puerta", "porta", "deur", "doer")
WINDOW = ("window", "glaz", "fenster", "fenetre", "ventana", "finestra", "janela", "raam")
OTHER = ("furn", "text", "dim", "anno", "note", "hatch", "grid", "axis", "stair", "sanit", "equip", "moebel", "title")
OTHER += ("defpoints", "electr", "plumb", "frame", "border", "room", "label")
NEAR_M = 0.02
"""Lines of a vector file are exact; symbols drawn in them are met within this distance."""


def vector_walls(drawn: Linework, config: InputConfig) -> Walls:
    """The walls' region in metres.

    Raises:
        ValueError: no layer of the name asked for, or nothing that closes an outline.
    """
    chosen = _wall_layers(drawn, config)
    wide = [line for line in drawn.lines if line.width >= config.wall_min_m]
    solid = [area.region for area in drawn.areas if _counts(area, chosen)]
    solid += [stroke_region(line) for line in wide if _counts(line, chosen)]
    outlines = [line for line in drawn.lines if line.width < config.wall_min_m and _counts(line, chosen)]
    solid = [region for region in solid if not _is_thin(region, config.wall_min_m)]
    region = joined(solid)
    if region.area < 0.5 or chosen:
        region = joined([region, *_thin_faces(outlines, config.wall_max_m)])
    region = region.buffer(1e-6, join_style="mitre")
    if region.is_empty or region.area < 1e-3:
        where = f"layer {', '.join(chosen)} of {drawn.sheet.path}" if chosen else drawn.sheet.path
        raise ValueError(
            f"input.image: expected walls as filled areas, wide strokes or closed outlines, got {len(outlines)} lines "
            f"that close none in {where}; close the outlines, or name the layers in input.wall_layers"
        )
    rest = [line for line in drawn.lines if not (line.width >= config.wall_min_m or (chosen and _counts(line, chosen)))]
    return Walls(region, near_lines(rest), NEAR_M, labels=drawn.labels, hints=_hints(drawn))


def _wall_layers(drawn: Linework, config: InputConfig) -> tuple[str, ...]:
    """Those that the user names, else those of a usual name, else none."""
    unknown = sorted(set(config.wall_layers) - set(drawn.layers))
    if unknown:
        raise ValueError(
            f"input.wall_layers: expected some of {', '.join(drawn.layers)}, got {', '.join(unknown)}; correct them"
        )
    if config.wall_layers:
        return tuple(config.wall_layers)
    return tuple(layer for layer in drawn.layers if layer_matches(layer, WALL))


def _counts(item: Line | Area, chosen: tuple[str, ...]) -> bool:
    """Whether a line or area may be wall: on the chosen layers, or without such on none that is something else."""
    if chosen:
        return item.layer in chosen
    other = DOOR + WINDOW + OTHER
    dashed = isinstance(item, Line) and not item.solid
    return not (dashed or item.block or layer_matches(item.layer, other))


def _is_thin(region, width: float) -> bool:
    return region.buffer(-0.49 * width).is_empty


def _thin_faces(lines: list[Line], widest: float) -> list[Polygon]:
    """Faces between the lines that are no thicker than a wall. Open ends that face each other are joined first."""
    if not lines:
        return []
    strings = [LineString(line.points) for line in lines if len(line.points) > 1]
    strings += _caps([line for line in lines if not line.closed], widest)
    noded = shapely.union_all(shapely.set_precision(np.asarray(strings, dtype=object), 1e-4))
    return [face for face in polygonize(noded) if _is_thin(face, widest)]


def _caps(lines: list[Line], widest: float) -> list[LineString]:
    """Short lines between the ends of parallel lines: double lines that stop at a door without a line across."""
    ends = [(line.points[0], line.points[0] - line.points[1]) for line in lines]
    ends += [(line.points[-1], line.points[-1] - line.points[-2]) for line in lines]
    met = shapely.MultiPoint([Point(at) for at, _ in ends])
    tree = shapely.STRtree(list(met.geoms))
    counts = [len(tree.query(Point(at).buffer(1e-3))) for at, _ in ends]
    loose = [(at, way / max(np.hypot(*way), 1e-9)) for (at, way), n in zip(ends, counts) if n == 1]
    found: list[LineString] = []
    for k, (at, way) in enumerate(loose):
        for other, along in loose[k + 1 :]:
            across = other - at
            length = float(np.hypot(*across))
            if 1e-3 < length <= widest and way @ along > 0.9 and abs(way @ across) < 0.2 * length:
                found.append(LineString([at, other]))
    return found


def near_lines(lines: list[Line]) -> Near:
    """Distance to the lines that are no walls, with an index over their segments."""
    pieces = [LineString(pair) for line in lines for pair in zip(line.points[:-1], line.points[1:])]
    tree = shapely.STRtree(pieces) if pieces else None

    def near(points: np.ndarray, tolerance_m: float) -> np.ndarray:
        if tree is None:
            return np.zeros(len(points), bool)
        found = tree.query(shapely.points(points), predicate="dwithin", distance=tolerance_m)
        hit = np.zeros(len(points), bool)
        hit[found[0]] = True
        return hit

    return near


def _hints(drawn: Linework) -> tuple[tuple[str, Polygon], ...]:
    """The boxes of blocks and of layers' lines that are called doors or windows."""
    found: list[tuple[str, Polygon]] = []
    for line in drawn.lines:
        for kind, words in (("door", DOOR), ("window", WINDOW)):
            if layer_matches(line.block, words) or layer_matches(line.layer, words):
                found.append((kind, LineString(line.points).buffer(NEAR_M)))
                break
    return tuple(found)
