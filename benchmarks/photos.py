"""Photographs all around: how well unseen sides and the shape come back, by number of given views.

    python -m benchmarks photos --shapes 3 --views 8 20 60 --experiments photos few_photos plain --out FILE.json
    python -m benchmarks photos --objects FOLDER --shapes 20

A shape is rendered from cameras around it and written as a transforms.json, which the command's own input reads: masks,
box and framing are part of what is measured. Shapes are held-out scenes of the shape grammar, or the mesh files of a
folder in their order. Unseen views stand on another ring; pictures are compared in front of white, meshes in the
capture's own axes. Experiments are those of the package, and `plain`: the hash grid as nerfstudio sets it, with the
pictures' colors alone (`PLAIN`). Rows that FILE.json already has are not run again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.kept import keep_rows, kept_rows
from nerf2mesh.api import fit
from nerf2mesh.evaluate.metrics.geometry import surface_distances, volume_iou
from nerf2mesh.evaluate.metrics.images import psnr
from nerf2mesh.evaluate.protocols.canonical import canonical_frame
from nerf2mesh.evaluate.protocols.heldout import HeldOut
from nerf2mesh.evaluate.protocols.procedural_objects import scene_mesh
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.run.result import Result
from nerf2mesh.types import Camera

N_UNSEEN = 8
SUFFIXES = (".glb", ".obj", ".ply", ".stl", ".npz")
PLAIN = (
    *("experiment=photos", "field.n_levels=16", "field.n_features=2", "field.log2_table_size=19"),
    *("field.per_level_scale=1.3819", "field.hidden=64", "field.color_hidden=64", "field.n_color_hidden=2"),
    *("field.view_dependent=true", "field.blob=none", "field.start_levels=16", "optimize.levels_full_at=0"),
    *("optimize.lr_encoding=0.01", "optimize.lr_network=0.01", "optimize.weight_color=1", "optimize.weight_mask=0"),
    *("optimize.weight_entropy=0", "optimize.weight_distortion=0.002", "mesh.smooth_radius=0"),
)
"""As the fields, rates and losses of nerfstudio's instant-ngp and nerfacto are by default (16 levels from 16 to 2048
cells, 2^19 entries of 2 features, Adam at 1e-2, squared error in front of random backgrounds, distortion 0.002), with
this package's sampling, renderer and mesh. Nothing weighs the masks, no level waits, the level set is not smoothed."""
KEYS = ("shape", "views", "experiment")
ONLY_WHAT_IS_MEASURED = ("mesh.texture=false", "report.html=false", "report.turntable_frames=0", "report.quiet=true")


def shapes(folder: Path | None, n: int, skipped: int = 0) -> list[tuple[str, TriangleMesh]]:
    """n shapes after the first `skipped`, in the canonical frame."""
    if folder is None:
        held_out = HeldOut(n=skipped + n)
        return [(name, canonical_frame(scene_mesh(held_out.scene(name)))) for name in held_out.names[skipped:]]
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)[skipped:][:n]
    if not files:
        raise ValueError(f"objects: expected mesh files in {folder}, got none; name another folder")
    return [(file.stem, canonical_frame(TriangleMesh.from_file(file))) for file in files]


def given_cameras(n: int, size_px: int) -> Camera:
    """n cameras on a Fibonacci lattice between 25 degrees below and 65 above the horizon."""
    k = torch.arange(n) + 0.5
    azimuth = torch.remainder(k * 360.0 * 0.6180339887498949, 360.0)
    low, high = np.sin(np.deg2rad([-25.0, 65.0]))
    elevation = torch.rad2deg(torch.asin(low + (high - low) * k / n))
    return Camera.orbit(azimuth, elevation, width_px=size_px)


def unseen_cameras(size_px: int) -> Camera:
    """N_UNSEEN cameras at 0 and 30 degrees, none of the given ones."""
    k = torch.arange(N_UNSEEN)
    return Camera.orbit(360.0 * (k + 0.3) / N_UNSEEN, 30.0 * (k % 2), width_px=size_px)


def write_capture(folder: Path, mesh: TriangleMesh, cameras: Camera) -> Path:
    """PNGs with alpha and a transforms.json."""
    rgba = rasterize_mesh(mesh, cameras, supersample=3).rgba
    straight = torch.cat([rgba[..., :3] / rgba[..., 3:].clamp_min(1e-6), rgba[..., 3:]], dim=-1)
    frames = []
    for i, image in enumerate(straight):
        name = f"{i:03d}.png"
        Image.fromarray((image.clamp(0, 1) * 255).round().byte().numpy()).save(folder / name)
        frames.append({"file_path": name, "transform_matrix": cameras.camera_to_world[i].tolist()})
    focal = float(cameras.focal_px[0, 0])
    path = folder / "transforms.json"
    path.write_text(json.dumps({"fl_x": focal, "fl_y": focal, "frames": frames}), encoding="utf-8")
    return path


def measured(result: Result, mesh: TriangleMesh, unseen: Camera) -> dict[str, float]:
    """PSNR of the unseen views by the field, and of the mesh volume IoU and Chamfer distance, in the capture's axes."""
    facts = result.observations.notes["photos"]
    assert isinstance(facts, dict) and result.mesh is not None
    change = torch.tensor(facts["object_from_world"], dtype=torch.float64)
    scale = torch.linalg.det(change[:3, :3]) ** (1 / 3)
    pose = (change @ unseen.camera_to_world.double()).clone()
    pose[:, :3, :3] /= scale
    shown = result.render(replace(unseen, camera_to_world=pose.float()))
    truth = rasterize_mesh(mesh, unseen, supersample=3)
    back = np.linalg.inv(change.numpy())
    vertices = result.mesh.vertices @ back[:3, :3].T + back[:3, 3]
    found = TriangleMesh(vertices, result.mesh.faces)
    distances = surface_distances(found, mesh, samples=10_000, seed=0)
    return {
        "psnr_db": float(psnr(shown.over(1.0).clamp(0, 1).cpu(), truth.over(1.0)).mean()),
        "volume_iou": volume_iou(found, mesh, resolution=96),
        "chamfer": distances.chamfer(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs all combinations, prints a line for each and the means, and writes them as JSON. A run whose optimization
    ends in an error counts as failed, and in no mean."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks photos", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--objects", type=Path, help="folder of mesh files, instead of held-out scenes")
    parser.add_argument("--shapes", type=int, default=3)
    parser.add_argument("--skip", type=int, default=0, help="so many shapes first")
    parser.add_argument("--views", type=int, nargs="+", default=[20])
    parser.add_argument("--experiments", nargs="+", default=["photos"])
    parser.add_argument("--size", type=int, default=128, help="side of the pictures in pixels")
    parser.add_argument("--overrides", nargs="*", default=[], help="further settings of the runs")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    asked = parser.parse_args(argv)
    settings = {"size_px": asked.size, "overrides": asked.overrides}
    rows = kept_rows(asked.out, settings)
    done = {tuple(row[key] for key in KEYS) for row in rows}
    every = shapes(asked.objects, asked.shapes, asked.skip)
    for name, mesh, n, experiment in ((*s, n, e) for s in every for n in asked.views for e in asked.experiments):
        if (name, n, experiment) in done:
            continue
        rows.append(_run(name, mesh, n, experiment, asked.size, asked.overrides))
        print(_line(rows[-1]), flush=True)
        keep_rows(asked.out, settings, rows)
    for n in asked.views:
        for experiment in asked.experiments:
            alike = [row for row in rows if row["views"] == n and row["experiment"] == experiment]
            whole = [row for row in alike if "failed" not in row]
            if whole:
                named = f"mean of {len(whole)}"
                print(_line({"shape": named, "views": n, "experiment": experiment, **_means(whole)}))
    return 0


def _run(name: str, mesh: TriangleMesh, n: int, experiment: str, size: int, overrides: list[str]) -> dict[str, object]:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = write_capture(Path(folder), mesh, given_cameras(n, size))
        chosen = PLAIN if experiment == "plain" else (f"experiment={experiment}",)
        row: dict[str, object] = {"shape": name, "views": n, "experiment": experiment}
        try:
            result = fit(overrides=[*chosen, f"input.image={path}", *ONLY_WHAT_IS_MEASURED, *overrides])
        except ValueError as error:
            if not str(error).startswith("optimize:"):
                raise
            return {**row, "failed": str(error)}
    return {**row, **measured(result, mesh, unseen_cameras(size)), "seconds": time.perf_counter() - start}


def _means(rows: list[dict[str, object]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in ("psnr_db", "volume_iou", "chamfer", "seconds")}


def _line(row: dict[str, object]) -> str:
    if "failed" in row:
        return f"{row['shape']:>12}  {row['views']:>3} views  {row['experiment']:<12} failed: {row['failed']}"
    return (
        f"{row['shape']:>12}  {row['views']:>3} views  {row['experiment']:<12} PSNR {row['psnr_db']:6.2f} dB  "
        f"IoU {row['volume_iou']:.4f}  Chamfer {row['chamfer']:.4f}  {row['seconds']:.0f} s"
    )
