"""SVG by svgelements: shapes with their strokes, fills, groups and texts.

A user unit is a CSS pixel (96 to the inch): `input.mm_per_px` says what it covers; with a size in millimetres on the
<svg> element, `input.scale=100` says that the sheet is drawn 1:100.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from shapely.geometry import LineString, MultiPolygon, Polygon

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.linework.kinds import Area, Label, Line, Linework, Sheet

CSS_PX_MM = 25.4 / 96.0
FLAT_PX = 0.1
"""How far a flattened curve may leave the true one."""
DARK = 0.6
"""Fills of a lower luminance (0 black, 1 white) are ink."""


def read_svg(config: InputConfig, path: Path, data: bytes) -> Linework:
    """The drawing in metres, y up.

    Raises:
        ValueError: no SVG, nothing drawn, or no scale given.
    """
    root = _open(path, data)
    unit_mm, scale = _unit(config, path)
    reader = _Reader(unit_mm / 1000.0, float(root.height))
    reader.walk(root, "")
    if not (reader.lines or reader.areas):
        raise ValueError(f"input.image: expected a drawing, got an empty page in {path}; export it again")
    sheet = Sheet(str(path), "SVG", hashlib.sha256(data).hexdigest(), scale)
    layers = tuple(sorted({item.layer for item in (*reader.lines, *reader.areas)}))
    return Linework(tuple(reader.lines), tuple(reader.areas), tuple(reader.labels), sheet, layers)


def _open(path: Path, data: bytes) -> Any:
    try:
        import svgelements
    except ImportError as error:
        raise ValueError(
            "input.image: expected the package svgelements for an SVG, got none; pip install 'nerf2mesh[plans]'"
        ) from error
    try:
        if b"<!ENTITY" in data:
            raise ValueError("it defines entities")
        return svgelements.SVG.parse(io.BytesIO(data), reify=True, ppi=96.0)
    except Exception as error:  # whatever a stranger's XML makes the parser say
        said = " ".join(str(error).split())[:80]
        raise ValueError(f"input.image: expected an SVG file, got {path} ({said}); export it again") from error


def _unit(config: InputConfig, path: Path) -> tuple[float, str]:
    """Millimetres of a user unit, and how that is known."""
    if config.mm_per_px:
        return config.mm_per_px, f"{config.mm_per_px:g} mm a user unit (input.mm_per_px)"
    if config.scale:
        return CSS_PX_MM * config.scale, f"1:{config.scale:g} at 96 user units an inch (input.scale)"
    raise ValueError(
        f"input.mm_per_px: expected the scale of {path}, got none; add input.mm_per_px=20 (millimetres that a user "
        "unit covers; there is no default), or input.scale=100 for a sheet 1:100"
    )


class _Reader:
    """Collects lines, areas and labels; `height` is the page's, in user units."""

    def __init__(self, unit_m: float, height: float) -> None:
        self.unit_m, self.height = unit_m, height
        self.lines: list[Line] = []
        self.areas: list[Area] = []
        self.labels: list[Label] = []

    def walk(self, group: Any, layer: str) -> None:
        """The shapes of a group; its name (inkscape:label, else id, else class) is their layer."""
        import svgelements

        for item in group:
            name = _name(item) or layer
            values = item.values or {}
            if values.get("display") == "none" or values.get("visibility") == "hidden":
                continue
            if isinstance(item, svgelements.Group):
                self.walk(item, name)
            elif isinstance(item, svgelements.Text):
                self._add_text(item, name)
            elif isinstance(item, svgelements.Shape):
                self._add_shape(svgelements.Path(item), item, name)

    def _add_text(self, item: Any, layer: str) -> None:
        at = item.transform.point_in_matrix_space((float(item.x), float(item.y)))
        place = self._metres(np.asarray([[at.x, at.y]]))[0]
        self.labels.append(Label(" ".join(str(item.text).split()), (float(place[0]), float(place[1])), layer))

    def _add_shape(self, path: Any, item: Any, layer: str) -> None:
        pieces = [self._metres(_flat(piece)) for piece in path.as_subpaths()]
        pieces = [points for points in pieces if len(points) > 1]
        if _is_ink(item.fill):
            region = MultiPolygon()
            for points in pieces:
                if len(points) > 2:
                    region = region.symmetric_difference(Polygon(points).buffer(0))  # the even-odd rule
            self._add_area(region, layer)
        if not _is_ink(item.stroke):
            return
        width = float(item.implicit_stroke_width or 0.0) * self.unit_m
        dashed = str(item.values.get("stroke-dasharray", "none")) not in ("none", "None", "")
        for points in pieces:
            closed = bool(np.allclose(points[0], points[-1]))
            self.lines.append(Line(points, layer, closed, width, "", not dashed))

    def _add_area(self, region: Any, layer: str) -> None:
        region = region.buffer(0)
        if not region.is_empty:
            self.areas.append(Area(region, layer))

    def _metres(self, points: np.ndarray) -> np.ndarray:
        return np.stack([points[:, 0], self.height - points[:, 1]], axis=1) * self.unit_m


def stroke_region(line: Line) -> Any:
    """What a wide stroke covers."""
    return LineString(line.points).buffer(line.width / 2, cap_style="flat", join_style="mitre")


def _name(item: Any) -> str:
    values = item.values or {}
    label = next((values[key] for key in values if str(key).endswith("}label")), None)
    return str(label or item.id or values.get("class") or "")


def _is_ink(color: Any) -> bool:
    """A stroke or fill that is dark and not transparent."""
    if color is None or color.value is None or (color.alpha is not None and color.alpha < 128):
        return False
    return 0.299 * color.red + 0.587 * color.green + 0.114 * color.blue < 255 * DARK


def _flat(piece: Any) -> np.ndarray:
    """[n, 2] in user units; curves by chords."""
    import svgelements

    points: list[tuple[float, float]] = []
    for segment in piece:
        if isinstance(segment, svgelements.Move):
            start: Any = segment.end
            points.append((start.x, start.y))
            continue
        if segment.end is None:
            continue
        curved = not isinstance(segment, svgelements.Line | svgelements.Close)
        n = max(2, min(256, int(np.sqrt(segment.length(error=1e-3) / FLAT_PX)) * 2)) if curved else 1
        along: list[Any] = [segment.point(k / n) for k in range(1, n + 1)]
        points += [(p.x, p.y) for p in along]
    return np.asarray(points, dtype=np.float64).reshape(-1, 2)
