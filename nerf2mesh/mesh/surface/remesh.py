"""Other triangulations of the same surface: even triangles (pyacvd) or quads (Instant Meshes), checked afterwards.

Both tools can fail without an error: Instant Meshes leaves holes and overshoots the budget on surfaces of high genus,
clustering glues thin walls together. So a result is used only where it is closed, has the genus and the number of
pieces of the input and about the number of faces that was asked for, and lies on the same surface.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nerf2mesh.mesh.surface.inspect import inspect_mesh
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.utils.interpreter import interpreter
from nerf2mesh.utils.scratch import scratch

KINDS = ("isotropic", "quad")
BUDGET_SHARE = 0.25
"""By how much the number of faces may miss the request."""
TIME_LIMIT_S = 300.0
QUAD_OPTIONS = "pure_quad=True, deterministic=True"
DISTANCE_EDGES = 0.5
"""How far a vertex may lie from the old surface, in mean edge lengths of the new one."""


class RemeshRefused(ValueError):
    """The result is another surface; the mesh that came in is the better one."""


@dataclass(frozen=True)
class Remeshed:
    """mesh: triangles, positions only. quads [Q, 4] of the same vertices, or None; `figures` tells what was checked."""

    mesh: TriangleMesh
    quads: np.ndarray | None
    figures: dict[str, object]


def remesh(mesh: TriangleMesh, kind: str, target_faces: int) -> Remeshed:
    """`mesh` with about `target_faces` even triangles ("isotropic") or quads ("quad").

    Raises ValueError where the package is missing (pip install 'nerf2mesh[remesh]'), and RemeshRefused where the result
    is not closed, changed its genus or its pieces, missed the budget or left the surface.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: expected {' or '.join(KINDS)}, got {kind!r}; choose one of these")
    if target_faces < 20:
        raise ValueError(f"target_faces: expected at least 20, got {target_faces}; ask for more faces")
    before = inspect_mesh(mesh)
    if not before["watertight"]:
        raise ValueError("mesh: expected a closed mesh, got holes; repair it first")
    if kind == "isotropic":
        vertices, polygons = _isotropic(mesh, target_faces)
    else:
        vertices, polygons = _quads(mesh, target_faces)
    triangles = split_polygons(polygons)
    new = TriangleMesh(vertices, triangles)
    new = new if new.volume > 0 else TriangleMesh(vertices, triangles[:, ::-1])
    compared, wrong = _compared(mesh, new, before, len(polygons), target_faces)
    figures = {"kind": kind, "faces": len(polygons), **compared, "wrong": wrong}
    if wrong:
        raise RemeshRefused(
            f"mesh.remesh: expected the same surface from {kind} remeshing, got {', '.join(wrong)}; "
            "smooth the surface (mesh.smooth_radius), ask for more faces, or keep the decimated mesh"
        )
    return Remeshed(new, polygons if kind == "quad" else None, figures)


def split_polygons(polygons: np.ndarray) -> np.ndarray:
    """Triangles [F, 3] of triangles or quads [n, 3 or 4]; a quad that repeats a vertex is a triangle."""
    if polygons.shape[1] == 3:
        return polygons
    pieces = np.concatenate([polygons[:, [0, 1, 2]], polygons[:, [0, 2, 3]]])
    a, b, c = pieces.T
    return pieces[(a != b) & (b != c) & (c != a)]


def _isotropic(mesh: TriangleMesh, target_faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of equal area (Valette and Chassery 2004), one vertex each: half as many as faces."""
    try:
        import pyacvd
        import pyvista
    except ImportError as error:
        raise ValueError(_missing("pyacvd", str(error))) from error
    clustering = pyacvd.Clustering(pyvista.PolyData.from_regular_faces(mesh.vertices, mesh.faces))
    while clustering.mesh.n_points < 10 * target_faces:
        clustering.subdivide(1)

    def attempt(n_faces: int) -> tuple[np.ndarray, np.ndarray]:
        clustering.cluster(max(12, n_faces // 2), iso_try=50)
        result = clustering.create_mesh()
        return np.asarray(result.points, np.float64), np.asarray(result.regular_faces, np.int64)

    return _first_closed(attempt, target_faces)


def _first_closed(
    attempt: Callable[[int], tuple[np.ndarray, np.ndarray]], target_faces: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both tools sometimes give an edge more than two faces; another number of faces then usually helps."""
    first = vertices, polygons = attempt(target_faces)
    for share in (0.97, 1.03, 0.94, 1.06, 0.9, 1.1):
        if TriangleMesh(vertices, split_polygons(polygons)).is_watertight:
            return vertices, polygons
        vertices, polygons = attempt(round(share * target_faces))
    closed = TriangleMesh(vertices, split_polygons(polygons)).is_watertight
    return (vertices, polygons) if closed else first


def _quads(mesh: TriangleMesh, target_faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Instant Field-Aligned Meshes (Jakob et al. 2015): every polygon of a coarse mesh cut into quads.

    It runs in a process of its own, since it can hang and prints to the terminal.
    """
    if find_spec("pyinstantmeshes") is None:
        raise ValueError(_missing("pyinstantmeshes", "no such module"))
    return _first_closed(lambda n_faces: _instant_meshes(mesh, max(5, n_faces // 4)), target_faces)


def _instant_meshes(mesh: TriangleMesh, n_polygons: int) -> tuple[np.ndarray, np.ndarray]:
    with scratch("n2m_quads_") as folder:
        source, target = Path(folder) / "in.obj", Path(folder) / "out.obj"
        lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in mesh.vertices.tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
        source.write_text("\n".join([*lines, ""]), encoding="utf-8")
        call = f"remesh_file({str(source)!r}, {str(target)!r}, target_face_count={n_polygons}, {QUAD_OPTIONS})"
        command = [interpreter(), "-c", f"from pyinstantmeshes import remesh_file; {call}"]
        try:
            done = subprocess.run(
                command, capture_output=True, encoding="utf-8", errors="replace", timeout=TIME_LIMIT_S, cwd=folder
            )
        except subprocess.TimeoutExpired as error:
            raise ValueError(
                f"mesh.remesh: expected quads within {TIME_LIMIT_S:g} s, got none; ask for fewer faces"
            ) from error
        if done.returncode != 0 or not target.exists():
            reason = (done.stderr.strip() or "no message").splitlines()[-1]
            raise ValueError(f"mesh.remesh: expected quads of Instant Meshes, got {reason!r}; choose isotropic")
        words = [line.split() for line in target.read_text(encoding="utf-8").splitlines()]
    vertices = [row[1:4] for row in words if row[:1] == ["v"]]
    quads = [[int(word.split("/")[0]) - 1 for word in row[1:]] for row in words if row[:1] == ["f"]]
    whole = [quad if len(quad) == 4 else [*quad, quad[-1]] for quad in quads if len(quad) in (3, 4)]
    return np.array(vertices, np.float64), np.array(whole, np.int64).reshape(-1, 4)


def _compared(
    old: TriangleMesh, new: TriangleMesh, before: dict[str, Any], n_faces: int, wanted: int
) -> tuple[dict[str, float], list[str]]:
    """Figures of the new mesh beside the old one, and what is wrong with it."""
    from scipy.spatial import KDTree

    after = inspect_mesh(new)
    dense = np.concatenate([old.vertices, old.corners.mean(1), *(old.corners[:, [k, k - 1]].mean(1) for k in range(3))])
    gap = float(np.sqrt(old.area / max(old.n_faces, 1)))  # the dense points' own spacing
    far = float(KDTree(dense).query(new.vertices)[0].max()) - gap
    edge = after.get("edge_length", {}).get("p50", 0.0)
    wrong: list[str] = []
    if not after["watertight"]:
        wrong.append(f"{after.get('boundary_edges')} open and {after.get('nonmanifold_edges')} overused edges")
    for key in ("genus", "components"):
        if after[key] != before[key]:
            wrong.append(f"{key} {after[key]} for {before[key]}")
    if abs(n_faces - wanted) > BUDGET_SHARE * wanted:
        wrong.append(f"{n_faces} faces for {wanted}")
    if far > DISTANCE_EDGES * edge:
        wrong.append(f"a vertex {far:.3g} off the surface")
    angles = {
        "min_angle_p5_deg": after["min_angle_deg"]["p5"],
        "min_angle_p5_before_deg": before["min_angle_deg"]["p5"],
    }
    return {"largest_distance": max(far, 0.0), **angles}, wrong


def _missing(package: str, reason: str) -> str:
    return f"mesh.remesh: expected the package {package}, got {reason!r}; pip install 'nerf2mesh[remesh]'"
