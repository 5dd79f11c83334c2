"""Texture coordinates: xatlas under a time limit, else charts by box projection.

UV are per face corner in [0, 1], v upward. Charts keep `padding_px` texels apart and do not overlap.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
from pathlib import Path

import numpy as np

from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.render.rasterizer import rasterize_uv
from nerf2mesh.utils.interpreter import interpreter

WORKER = Path(__file__).with_name("unwrap_worker.py")
BOXES, NOT_ASKED = "box projection", "the time limit of xatlas is 0"
"""The method without xatlas, and its reason where the settings ask for it."""
MAX_SPLITS = 8
MAX_CUTS = 4


def unwrap(
    mesh: TriangleMesh, size: int, *, padding_px: int = 4, time_limit_s: float = 120.0
) -> tuple[np.ndarray, dict[str, object]]:
    """UV [F, 3, 2] for a square texture of `size` texels, and how they were made: method, charts, overlap_texels, the
    faces that were cut out of xatlas's charts, or the reason why its result was not used.

    time_limit_s: of xatlas; 0 uses box projection. Raises ValueError where the charts do not fit.
    """
    uv, made = None, {"reason": NOT_ASKED}
    if time_limit_s > 0.0:
        uv, made = _by_xatlas(mesh, size, padding_px, time_limit_s)
    if uv is not None:
        n_out = 0
        overlap = overlap_texels(uv, size)
        for _ in range(MAX_CUTS):  # a cut shrinks the atlas, and the texels then fall elsewhere
            if not overlap:
                return uv, {**made, "faces_cut_out": n_out, "overlap_texels": 0}
            uv, n_cut = cut_overlaps(mesh, uv, size, padding_px)
            n_out += n_cut
            overlap = overlap_texels(uv, size)
        made = {"reason": f"xatlas left {overlap} overlapping texels"}
    boxed, charts = unwrap_box(mesh, size, padding_px)
    overlap = overlap_texels(boxed, size)
    return boxed, {"method": BOXES, **made, "charts": charts, "overlap_texels": overlap}


def overlap_texels(uv: np.ndarray, size: int) -> int:
    """Texels whose center lies in more than one face."""
    return int((rasterize_uv(uv, size, size)["layers"] > 1).sum())


def cut_overlaps(mesh: TriangleMesh, uv: np.ndarray, size: int, padding_px: int) -> tuple[np.ndarray, int]:
    """Moves the few faces that lie over others into a strip along the top, and returns their number.

    The uv come back unchanged where the strip cannot hold them.
    """
    out = np.zeros(len(uv), bool)
    for _ in range(MAX_SPLITS):
        kept = np.flatnonzero(~out)
        images = rasterize_uv(uv[kept], 2 * size, 2 * size)
        over = np.unique(images["face"][images["layers"] > 1])
        if not len(over):
            break
        out[kept[over]] = True
    moved = np.flatnonzero(out)
    if not len(moved):
        return uv, 0
    flat = _flattened(mesh.corners[moved]) * _uv_per_unit(mesh, uv)
    gap = (1.0 + padding_px) / size
    width, height = np.ptp(flat, axis=1).T + gap
    right = np.cumsum(width)
    if right[-1] > 1.0 or height.max() > 0.2:
        return uv, 0
    corner = np.stack([right - width + 0.5 * gap, np.full(len(moved), 1.0 + 0.5 * gap)], axis=1)
    result = uv.copy()
    result[moved] = flat - flat.min(axis=1, keepdims=True) + corner[:, None]
    return (result / (1.0 + height.max())).astype(np.float32), len(moved)


def _flattened(corners: np.ndarray) -> np.ndarray:
    """Triangles [n, 3, 3] laid into the plane [n, 3, 2]: first corner at the origin, first side along x."""
    side, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    length = np.maximum(np.linalg.norm(side, axis=1), 1e-30)
    along = (side * other).sum(1) / length
    up = np.linalg.norm(np.cross(side, other), axis=1) / length
    zero = np.zeros_like(length)
    return np.stack([np.stack(p, axis=1) for p in ((zero, zero), (length, zero), (along, up))], axis=1)


def _uv_per_unit(mesh: TriangleMesh, uv: np.ndarray) -> float:
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    return float(np.sqrt(0.5 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / mesh.area))


def _by_xatlas(
    mesh: TriangleMesh, size: int, padding: int, limit_s: float
) -> tuple[np.ndarray | None, dict[str, object]]:
    """Mesh and charts pass through pipes: no file is written, so that a full or closed TMPDIR changes nothing."""
    # Unit scale: xatlas drops charts whose area is tiny in its own units.
    scaled = (mesh.vertices - mesh.center) / max(float(np.ptp(mesh.bounds, axis=0).max()), 1e-30)
    given = io.BytesIO()
    np.savez(given, vertices=scaled, faces=mesh.faces, size=size, padding=padding)
    try:
        # The root as the present folder: no module that lies in the user's can hide one of the standard library.
        command = [interpreter(), "-c", WORKER.read_text(encoding="utf-8")]
        done = subprocess.run(command, input=given.getvalue(), capture_output=True, timeout=limit_s, cwd=os.sep)
    except OSError as error:
        return None, {"reason": f"xatlas was not started: {error}"}
    except subprocess.TimeoutExpired:
        return None, {"reason": f"xatlas did not end within {limit_s:g} s"}
    try:
        if done.returncode == 0:
            result = np.load(io.BytesIO(done.stdout))
            return result["uv"].astype(np.float32), {"method": "xatlas", "charts": int(result["charts"])}
    except (OSError, ValueError, KeyError, EOFError) as error:
        return None, {"reason": f"xatlas gave no whole result: {error}"}
    return None, {"reason": f"xatlas failed: {_last_words(done)}"}


def _last_words(done: subprocess.CompletedProcess[bytes]) -> str:
    """The last line of what a process that failed has said, or how it ended."""
    lines = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
    if done.returncode < 0:
        return f"it was ended by {signal.Signals(-done.returncode).name}"
    return lines[-1][:200] if lines else f"exit status {done.returncode}"


def unwrap_box(mesh: TriangleMesh, size: int, padding_px: int) -> tuple[np.ndarray, int]:
    """Charts of connected faces that look along the same axis, projected along it; a chart that overlaps itself is cut
    across that axis until it does not. Returns uv and the number of charts.
    """
    axis = np.abs(mesh.face_normals).argmax(1)
    side = 2 * axis + (np.take_along_axis(mesh.face_normals, axis[:, None], 1)[:, 0] < 0)
    flat = (
        np.stack([mesh.corners[..., (k + 1) % 3] for k in range(3)]),
        np.stack([mesh.corners[..., (k + 2) % 3] for k in range(3)]),
    )
    rows = np.arange(mesh.n_faces)
    plane = np.stack([flat[0][axis, rows], flat[1][axis, rows]], axis=-1)
    height = np.take_along_axis(mesh.corners.mean(1), axis[:, None], 1)[:, 0]
    group = side.astype(np.int64)
    for attempt in range(MAX_SPLITS + 1):
        chart = _chart_labels(mesh, group)
        uv = _pack(plane, chart, size, padding_px)
        folded = _overlapping_charts(uv, chart, size)
        if not len(folded):
            break
        bad = np.isin(chart, folded)
        if attempt >= MAX_SPLITS - 1:
            group = np.where(bad, group.max() + 1 + rows, group)
            continue
        count = np.maximum(np.bincount(chart, minlength=chart.max() + 1), 1)
        middle = np.bincount(chart, height, minlength=len(count)) / count
        group = 2 * chart + (bad & (height > middle[chart]))
    return uv, int(chart.max()) + 1


def _chart_labels(mesh: TriangleMesh, group: np.ndarray) -> np.ndarray:
    """Connected faces (across edges) of one group share a number."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    half = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    key, face = half[:, 0] * mesh.n_vertices + half[:, 1], np.arange(len(half)) // 3
    order = np.argsort(key, kind="stable")
    one, two = order[:-1], order[1:]
    linked = (key[one] == key[two]) & (group[face[one]] == group[face[two]])
    pairs = face[one[linked]], face[two[linked]]
    links = coo_matrix((np.ones(len(pairs[0]), bool), pairs), shape=(mesh.n_faces,) * 2)
    return connected_components(links, directed=False)[1].astype(np.int64)


def _overlapping_charts(uv: np.ndarray, chart: np.ndarray, size: int) -> np.ndarray:
    images = rasterize_uv(uv, size, size)
    return np.unique(chart[images["face"][images["layers"] > 1]])


def _pack(plane: np.ndarray, chart: np.ndarray, size: int, padding_px: int) -> np.ndarray:
    """Charts' bounding boxes on shelves, at the largest scale that fits."""
    n_charts = int(chart.max()) + 1
    low, high = np.full((n_charts, 2), np.inf), np.full((n_charts, 2), -np.inf)
    for k in range(3):
        np.minimum.at(low, chart, plane[:, k])
        np.maximum.at(high, chart, plane[:, k])
    extent = high - low
    order = np.argsort(-extent[:, 1], kind="stable")
    small, large = 0.0, size / max(float(extent.max()), 1e-30)
    best = None
    for _ in range(24):
        scale = 0.5 * (small + large)
        corner = _shelves(extent * scale + 1 + padding_px, order, size)
        if corner is None:
            large = scale
        else:
            small, best = scale, corner
    if best is None:
        raise ValueError(
            f"mesh.texture_size: expected room for {n_charts} charts, got {size} texels a side; raise it, or lower "
            "mesh.target_faces"
        )
    local = (plane - low[chart][:, None]) * small
    return ((local + best[chart][:, None] + 0.5 * (1 + padding_px)) / size).astype(np.float32)


def _shelves(boxes: np.ndarray, order: np.ndarray, size: int) -> np.ndarray | None:
    """Lower-left corners [C, 2] of boxes laid in rows of falling height, or None where they do not fit."""
    corner = np.zeros_like(boxes)
    x = y = shelf = 0.0
    for k in order:
        width, height = boxes[k]
        if x + width > size:
            x, y, shelf = 0.0, y + shelf, 0.0
        if width > size or y + height > size:
            return None
        corner[k] = x, y
        x, shelf = x + width, max(shelf, height)
    return corner
