"""Figures of a mesh: topology, number of pieces, shape of its triangles, quality of its texture map.

The result is a dict of plain numbers, ready for JSON. Positions are merged first, since seams split them in most files.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nerf2mesh.mesh.export.gltf import split_seams
from nerf2mesh.mesh.surface.intersections import count_self_intersections
from nerf2mesh.mesh.surface.repair import face_components, vertex_fans
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.render.rasterizer import rasterize_uv


def inspect_mesh(mesh: TriangleMesh, *, self_intersections: bool = False) -> dict[str, Any]:
    """Topology, shape and texture figures of a mesh; `self_intersections` also counts crossing faces, in seconds."""
    mesh = mesh.welded()
    report: dict[str, Any] = {
        "vertices": mesh.n_vertices,
        "faces": mesh.n_faces,
        "bounds": mesh.bounds.tolist(),
        "area": mesh.area,
        "volume": mesh.volume,
        **_topology(mesh),
        **_quality(mesh),
    }
    if mesh.uv is not None:
        report["uv"] = _uv_figures(mesh)
    if self_intersections:
        report["self_intersections"] = count_self_intersections(mesh)
    return report


def _topology(mesh: TriangleMesh) -> dict[str, Any]:
    if not mesh.n_faces:
        return {"watertight": False, "components": 0, "genus": None}
    edges, valence = mesh.edges
    half = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, times = np.unique(half[:, 0] * mesh.n_vertices + half[:, 1], return_counts=True)
    fans, n_fans = vertex_fans(mesh)
    label = face_components(mesh)
    n_used = len(np.unique(mesh.faces))
    closed = bool((valence == 2).all())
    # A surface in C closed pieces of genus g_i has Euler number sum(2 - 2 g_i); pinched vertices count once per fan.
    euler = n_fans - len(edges) + mesh.n_faces
    n_surfaces = len(np.unique(_fan_components(mesh, fans, n_fans)))
    return {
        "watertight": mesh.is_watertight,
        "boundary_edges": int((valence == 1).sum()),
        "nonmanifold_edges": int((valence > 2).sum()),
        "nonmanifold_vertices": int(n_fans - n_used),
        "edge_valence": {str(k): int(n) for k, n in zip(*np.unique(valence, return_counts=True))},
        "edges_wound_twice": int((times > 1).sum()),
        "components": int(label.max()) + 1,
        "largest_component_share": float(np.bincount(label).max() / mesh.n_faces),
        "euler": int(euler),
        "genus": int(n_surfaces - euler // 2) if closed and euler % 2 == 0 else None,
    }


def _fan_components(mesh: TriangleMesh, fans: np.ndarray, n_fans: int) -> np.ndarray:
    split = TriangleMesh(np.zeros((n_fans, 3)), fans.reshape(-1, 3))
    return face_components(split)


def _quality(mesh: TriangleMesh) -> dict[str, Any]:
    """Corner angles in degrees, and the aspect: longest side to height, 1 when equilateral."""
    if not mesh.n_faces:
        return {}
    sides = np.stack([np.linalg.norm(mesh.corners[:, k] - mesh.corners[:, k - 2], axis=1) for k in range(3)], axis=1)
    a, b, c = np.maximum(np.sort(sides, axis=1), 1e-300).T
    smallest = np.degrees(np.arccos(np.clip((b * b + c * c - a * a) / (2 * b * c), -1.0, 1.0)))
    area = mesh.face_areas
    aspect = np.where(area > 0, np.sqrt(3.0) / 4.0 * c * c / np.maximum(area, 1e-300), 1e9)
    shares = (0.0, 0.01, 0.05, 0.5)
    return {
        "degenerate_faces": int((area <= 1e-14 * max(float(area.max()), 1e-300)).sum()),
        "faces_below_1_deg": int((smallest < 1.0).sum()),
        "min_angle_deg": {f"p{100 * s:g}": float(np.quantile(smallest, s)) for s in shares},
        "aspect": {f"p{100 - 100 * s:g}": min(float(np.quantile(aspect, 1.0 - s)), 1e9) for s in shares},
        "edge_length": {f"p{q}": float(np.percentile(sides, q)) for q in (5, 50, 95)},
    }


def _uv_figures(mesh: TriangleMesh) -> dict[str, Any]:
    """Range, charts, coverage, and the map's stretch (Sander et al. 2001, L2; 1 is isometric at the mean scale)."""
    assert mesh.uv is not None
    size = 1024 if mesh.texture is None else max(mesh.texture.shape[:2])
    layers = rasterize_uv(mesh.uv, size, size)["layers"]
    low, high = mesh.uv.reshape(-1, 2).min(0), mesh.uv.reshape(-1, 2).max(0)
    stretch, density = _stretch(mesh, size)
    return {
        "range": [low.tolist(), high.tolist()],
        "inside_unit_square": bool((low >= 0.0).all() and (high <= 1.0).all()),
        "charts": _chart_count(mesh),
        "utilisation": float((layers > 0).mean()),
        "overlapping_texels": int((layers > 1).sum()),
        "stretch_l2": stretch,
        "texels_per_unit": {f"p{q}": float(np.percentile(density, q)) for q in (5, 50, 95)},
        "texture": None if mesh.texture is None else list(mesh.texture.shape),
    }


def _stretch(mesh: TriangleMesh, size: int) -> tuple[float, np.ndarray]:
    """Root of the area-weighted mean squared singular values of uv -> surface at mean scale 1, and texels per unit."""
    assert mesh.uv is not None
    p, (s, t) = mesh.corners, np.moveaxis(mesh.uv.astype(np.float64), 2, 0)
    double_area = (s[:, 1] - s[:, 0]) * (t[:, 2] - t[:, 0]) - (s[:, 2] - s[:, 0]) * (t[:, 1] - t[:, 0])
    good = np.abs(double_area) > 1e-14
    if not good.any():
        return float("inf"), np.zeros(1)
    p, s, t, double_area = p[good], s[good], t[good], double_area[good]
    ds = sum(p[:, k] * (t[:, (k + 1) % 3] - t[:, (k + 2) % 3])[:, None] for k in range(3)) / double_area[:, None]
    dt = sum(p[:, k] * (s[:, (k + 2) % 3] - s[:, (k + 1) % 3])[:, None] for k in range(3)) / double_area[:, None]
    squared = 0.5 * ((ds * ds).sum(1) + (dt * dt).sum(1))
    area, uv_area = mesh.face_areas[good], 0.5 * np.abs(double_area)
    scale = area.sum() / uv_area.sum()
    stretch = np.sqrt((squared * area).sum() / area.sum() / scale)
    return float(stretch), size * np.sqrt(uv_area / np.maximum(area, 1e-300))


def _chart_count(mesh: TriangleMesh) -> int:
    """Pieces of the mesh once seams are cut."""
    source, uv = split_seams(mesh)
    assert uv is not None
    return int(face_components(TriangleMesh(np.zeros((len(uv), 3)), source.faces)).max()) + 1
