"""DXF by ezdxf: every entity of the model space flattened to lines, hatches and filled solids to areas.

Dimensions, leaders and their texts are left out. Blocks are taken apart and their parts remember the block's name.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from shapely.geometry import LineString, MultiPolygon, Polygon
from shapely.ops import unary_union

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.linework.kinds import Area, Label, Line, Linework, Sheet

UNIT_MM = {1: 25.4, 2: 304.8, 4: 1.0, 5: 10.0, 6: 1000.0, 8: 25.4e-6, 9: 0.0254, 10: 914.4, 13: 1e-3, 14: 100.0}
UNIT_MM |= {3: 1_609_344.0, 7: 1e6}
"""Millimetres of a $INSUNITS code (DXF reference, HEADER section)."""
LEFT_OUT = ("DIMENSION", "ARC_DIMENSION", "LARGE_RADIAL_DIMENSION", "LEADER", "MULTILEADER", "MLEADER", "VIEWPORT")
FLAT_M = 0.002
"""How far a flattened curve may leave the true one."""
MAX_DEPTH = 8


def read_dxf(config: InputConfig, path: Path, data: bytes) -> Linework:
    """The model space in metres; `input.mm_per_px` counts as millimetres of a drawing unit where the file has none.

    Raises:
        ValueError: no DXF, damaged, or with nothing drawn.
    """
    document = _open(path, data)
    unit_mm, scale, warnings = _unit(document, config, path)
    reader = _Reader(unit_mm / 1000.0)
    for entity in document.modelspace():
        reader.add(entity, "", 0)
    if not (reader.lines or reader.areas):
        raise ValueError(f"input.image: expected a drawing, got an empty model space in {path}; export it again")
    sheet = Sheet(str(path), "DXF", hashlib.sha256(data).hexdigest(), scale, None, tuple(warnings))
    layers = tuple(sorted({item.layer for item in (*reader.lines, *reader.areas)}))
    return Linework(tuple(reader.lines), tuple(reader.areas), tuple(reader.labels), sheet, layers)


def _open(path: Path, data: bytes) -> Any:
    try:
        from ezdxf import recover
        from ezdxf.lldxf.const import DXFError
    except ImportError as error:
        raise ValueError(
            "input.image: expected the package ezdxf for a DXF, got none; pip install 'nerf2mesh[plans]'"
        ) from error
    try:
        document, _ = recover.read(io.BytesIO(data))
    except (DXFError, OSError, UnicodeError) as error:
        said = " ".join(str(error).split())[:80] or type(error).__name__
        raise ValueError(f"input.image: expected a DXF file, got {path} ({said}); export it again") from error
    return document


def _unit(document: Any, config: InputConfig, path: Path) -> tuple[float, str, list[str]]:
    """Millimetres of a drawing unit, how that is known, and what to warn of."""
    code = int(document.header.get("$INSUNITS", 0))
    if config.mm_per_px:
        return config.mm_per_px, f"{config.mm_per_px:g} mm a drawing unit (input.mm_per_px)", []
    if code in UNIT_MM:
        return UNIT_MM[code], f"$INSUNITS {code}: {UNIT_MM[code]:g} mm a drawing unit", []
    said = f"{path.name} names no unit: its numbers are taken for millimetres; set input.mm_per_px for another"
    return 1.0, "millimetres (assumed)", [said]


class _Reader:
    """Collects lines, areas and labels."""

    def __init__(self, unit_m: float) -> None:
        self.unit_m = unit_m
        self.lines: list[Line] = []
        self.areas: list[Area] = []
        self.labels: list[Label] = []

    def add(self, entity: Any, block: str, depth: int) -> None:
        """One entity; those of a block with the block's name, layer 0 inside a block being the block's own."""
        kind = entity.dxftype()
        if kind in LEFT_OUT or depth > MAX_DEPTH or entity.dxf.get("invisible", 0):
            return
        if kind == "INSERT":
            for part in entity.virtual_entities():
                if part.dxf.layer == "0":
                    part.dxf.layer = entity.dxf.layer
                self.add(part, block or entity.dxf.name, depth + 1)
        elif kind in ("TEXT", "MTEXT", "ATTRIB"):
            text = entity.plain_text() if kind != "ATTRIB" else entity.dxf.text
            at = np.asarray(entity.dxf.insert)[:2] * self.unit_m
            self.labels.append(Label(" ".join(text.split()), (float(at[0]), float(at[1])), entity.dxf.layer))
        elif kind == "HATCH":
            self._add_hatch(entity, block)
        elif kind in ("SOLID", "TRACE"):
            corners = np.asarray([tuple(v)[:2] for v in entity.wcs_vertices()]) * self.unit_m
            self._add_area(Polygon(corners), entity.dxf.layer, block)
        else:
            self._add_path(entity, block)

    def _add_hatch(self, entity: Any, block: str) -> None:
        from ezdxf.path import from_hatch

        rings = [self._flat(path) for path in from_hatch(entity)]
        region = MultiPolygon()
        for ring in sorted((Polygon(r).buffer(0) for r in rings if len(r) > 3), key=lambda p: -p.area):
            region = region.symmetric_difference(ring)  # islands by the even-odd rule
        self._add_area(region, entity.dxf.layer, block)

    def _add_area(self, region: Any, layer: str, block: str) -> None:
        region = region.buffer(0)
        if not region.is_empty:
            self.areas.append(Area(region, layer, block))

    def _add_path(self, entity: Any, block: str) -> None:
        from ezdxf.path import make_path

        try:
            path = make_path(entity)
        except TypeError:
            return None  # points, 3D solids, images: nothing that is a line
        points = self._flat(path)
        if len(points) < 2 or not np.isfinite(points).all():
            return None
        closed = bool(np.allclose(points[0], points[-1])) or bool(getattr(entity, "closed", False))
        if closed and not np.allclose(points[0], points[-1]):
            points = np.concatenate([points, points[:1]])
        width = self._width(entity)
        layer = entity.dxf.layer
        if width > 0:
            strip = LineString(points).buffer(width / 2, cap_style="flat", join_style="mitre")
            return self._add_area(strip, layer, block)
        self.lines.append(Line(points, layer, closed, 0.0, block, _is_solid(entity)))
        return None

    def _flat(self, path: Any) -> np.ndarray:
        return np.asarray([(v.x, v.y) for v in path.flattening(FLAT_M / self.unit_m)]) * self.unit_m

    def _width(self, entity: Any) -> float:
        """The drawn width of a wide polyline, in metres (not the pen's)."""
        if entity.dxftype() != "LWPOLYLINE":
            return 0.0
        widths = [max(point[2], point[3]) for point in entity.get_points()]
        return max(float(entity.dxf.get("const_width", 0.0)), min(widths, default=0.0)) * self.unit_m


def _is_solid(entity: Any) -> bool:
    """False for dashed line types, the layer's own where the entity takes it."""
    name = str(entity.dxf.get("linetype", "BYLAYER")).upper()
    if name == "BYLAYER" and entity.doc is not None and entity.dxf.layer in entity.doc.layers:
        name = str(entity.doc.layers.get(entity.dxf.layer).dxf.get("linetype", "CONTINUOUS")).upper()
    return name in ("CONTINUOUS", "BYLAYER", "BYBLOCK", "")


def joined(regions: list[Any]) -> Any:
    """The union of regions; an empty MultiPolygon of none."""
    return unary_union(regions) if regions else MultiPolygon()
