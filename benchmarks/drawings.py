"""Engineering drawings: how exactly known parts come back from three orthographic views.

    python -m benchmarks drawings --parts 20 --kinds dxf png --out FILE.json
    python -m benchmarks drawings --parts 20 --kinds dxf --ways fit --overrides optimize.steps=120
    python -m benchmarks drawings --open --kinds dxf --ways hull fit          # parts that the views leave open
    python -m benchmarks drawings --stepped                                   # blind holes, counterbores, bosses

Parts are solids of manifold3d, which `tests.inputs.drawn_parts` draws with hidden and center lines, dimensions and
text; PNG at `--mm-per-px`. `hull` is input=drawing, `fit` is experiment=drawing: a density within the hull, and the
prior. Volume IoU by exact booleans; the error of the three sizes; and how far the solid's sharp edges are from the
found surface (largest) and from the found mesh's own creases (19 of 20 points), all as shares of the longest side.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import manifold3d
import numpy as np
import torch
from scipy.spatial import cKDTree

from benchmarks.kept import keep_rows, kept_rows
from benchmarks.photos import ONLY_WHAT_IS_MEASURED
from nerf2mesh.api import fit
from nerf2mesh.evaluate.metrics.surface import Surface
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.run.result import Result

SHARP_DEG = 30.0
SPACING = 5e-4
"""Between the points on an edge, as a share of the longest side."""
WAYS = {"hull": "input=drawing", "fit": "experiment=drawing"}
FIGURES = ("iou", "size_error", "edge_error", "crease_error", "outside", "seconds")


def sharp_points(mesh: TriangleMesh, spacing: float) -> np.ndarray:
    """Points [n, 3] on the edges at which a closed mesh bends by over SHARP_DEG."""
    half = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    owner = np.tile(np.arange(mesh.n_faces), 3)
    order = np.lexsort((half.max(1), half.min(1)))
    ends, pair = np.sort(half[order][::2], axis=1), owner[order].reshape(-1, 2)
    normals = mesh.face_normals
    cosine = (normals[pair[:, 0]] * normals[pair[:, 1]]).sum(1)
    area = np.linalg.norm(np.cross(*np.diff(mesh.corners, axis=1).transpose(1, 0, 2)), axis=1)[pair].min(1)
    a, b = mesh.vertices[ends[(cosine < np.cos(np.deg2rad(SHARP_DEG))) & (area > 0)]].transpose(1, 0, 2)
    counts = np.maximum(2, np.ceil(np.linalg.norm(b - a, axis=1) / spacing).astype(int))
    pieces = [p + (q - p) * np.linspace(0, 1, n)[:, None] for p, q, n in zip(a, b, counts)]
    return np.concatenate(pieces) if pieces else np.zeros((0, 3))


def measured(found: TriangleMesh, truth: manifold3d.Manifold, size: Sequence[float]) -> dict[str, float]:
    """Both in millimetres; see the module's text."""
    longest = max(size)
    mesh = manifold3d.Manifold(manifold3d.Mesh64(found.vertices.astype(np.float64), found.faces.astype(np.uint64)))
    shape = truth.to_mesh64()
    known = TriangleMesh(np.asarray(shape.vert_properties)[:, :3], np.asarray(shape.tri_verts).astype(np.int64))
    edges = sharp_points(known, SPACING * longest)[::7]
    creases = sharp_points(found, SPACING * longest)
    to_crease = cKDTree(creases).query(edges)[0] if len(creases) else np.full(len(edges), np.inf)
    distance = Surface.of(found).nearest(torch.from_numpy(edges)).distance
    return {
        "iou": (mesh ^ truth).volume() / (mesh + truth).volume(),
        "size_error": float(np.abs(np.ptp(found.bounds, axis=0) / size - 1.0).max()),
        "edge_error": float(distance.max()) / longest,
        "crease_error": float(np.quantile(to_crease, 0.95)) / longest,
    }


def in_millimetres(result: Result) -> TriangleMesh:
    """The result's mesh as its STL would have it, in the world's axes."""
    assert result.mesh is not None
    unit = result.observations.notes.get("metres_per_unit", 1.0)
    assert isinstance(unit, float)
    return TriangleMesh(result.mesh.vertices * unit * 1000.0, result.mesh.faces)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs all combinations, prints a line for each and the means and worst, and writes them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks drawings", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--parts", type=int, default=20)
    parser.add_argument("--open", action="store_true", help="parts with pockets and bosses that no outline shows")
    parser.add_argument("--stepped", action="store_true", help="parts whose inner lines say what no outline does")
    parser.add_argument("--kinds", nargs="+", default=["dxf", "png"], choices=["dxf", "png"])
    parser.add_argument("--ways", nargs="+", default=["hull"], choices=list(WAYS))
    parser.add_argument("--mm-per-px", type=float, default=0.25)
    parser.add_argument("--overrides", nargs="*", default=[], help="further settings of the fits")
    parser.add_argument("--out", type=Path, help="JSON file for the figures; rows that it has are not run again")
    asked = parser.parse_args(argv)
    from tests.inputs import drawn_parts as draw

    parts = draw.stepped_parts() if asked.stepped else draw.open_parts() if asked.open else draw.twenty_parts()
    settings = {"mm_per_px": asked.mm_per_px, "overrides": asked.overrides}
    rows = kept_rows(asked.out, settings)
    done = {(row["part"], row["kind"], row["way"]) for row in rows}
    for k, kind, way in (
        (k, i, w) for w in asked.ways for i in asked.kinds for k in range(min(asked.parts, len(parts)))
    ):
        name = f"{'stepped' if asked.stepped else 'open' if asked.open else 'part'} {k:02d}"
        if (name, kind, way) in done:
            continue
        rows.append({"part": name, "kind": kind, "way": way, **_run(parts[k], kind, way, asked)})
        print(_line(rows[-1]), flush=True)
        keep_rows(asked.out, settings, rows)
    for way in asked.ways:
        for kind in asked.kinds:
            alike = [row for row in rows if row["kind"] == kind and row["way"] == way]
            for word, reduce in (("mean", np.mean), ("least", np.min), ("most", np.max)):
                figures = {name: float(reduce([row[name] for row in alike])) for name in FIGURES}
                print(_line({"part": f"{word} of {len(alike)}", "kind": kind, "way": way, **figures}))
    return 0


def _run(part, kind: str, way: str, asked: argparse.Namespace) -> dict[str, float]:
    from tests.inputs import drawn_parts as draw

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"part.{kind}"
        if kind == "dxf":
            draw.write_dxf(part, path)
        else:
            draw.write_png(part, path, asked.mm_per_px)
        scale = [f"input.mm_per_px={asked.mm_per_px}"] if kind == "png" else []
        more = asked.overrides if way == "fit" else []
        result = fit(overrides=[WAYS[way], f"input.image={path}", *scale, *ONLY_WHAT_IS_MEASURED, *more])
    seconds, found = time.perf_counter() - start, in_millimetres(result)
    truth, hull = part.solid(), draw.hull(part)
    mesh = manifold3d.Manifold(manifold3d.Mesh64(found.vertices.astype(np.float64), found.faces.astype(np.uint64)))
    outside = (mesh - hull).volume() / hull.volume()
    return {**measured(found, truth, part.size), "outside": outside, "seconds": seconds}


def _line(row: dict[str, object]) -> str:
    return (
        f"{row['part']:>12}  {row['kind']:<3}  {row['way']:<4}  IoU {row['iou']:.4f}  size {row['size_error']:.3%}  "
        f"edges {row['edge_error']:.3%}  creases {row['crease_error']:.3%}  outside the hull {row['outside']:.3%}  "
        f"{row['seconds']:.1f} s"
    )
