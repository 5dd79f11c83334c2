"""Rounds of refinement on meshes that no prior was trained on: what stays, what the paint-over becomes, the seconds.

    python -m benchmarks refine --data FOLDER --n 10 --out DIR [--edits start recolor reshape] [--most N]
    python -m benchmarks refine --out DIR --table

Every object becomes a textured GLB.

start     the field is fitted to it, and compared with the mesh from 8 cameras that the fit has not seen, before white
recolor   a disc is painted on a rendering of the front, in other colors with stripes; nothing but the paint-over says
          so (distill.weight=0)
reshape   what is above 60 % of the height is stretched by 40 %, drawn from the same side and given as a paint-over with
          a box as the region; the built-in prior steers

The edits go the command's own way (`nerf2mesh.fit` with start_from), begin with that fit as a run does that was stopped
after it, and keep the topology. The GLB is read back. Outside: the furthest that any of the source's vertices outside
the region is from a vertex of the result, as a share of the longest side; the PSNR over 8 cameras in the pixels whose
ray meets nothing of the region. Inside: the PSNR against the paint-over in the pixels that were painted. s, cpu_s,
load: seconds, of which on a processor, and how many programs wanted one. Every line is written to DIR/refine.json when
it is done; the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.spatial import KDTree

import nerf2mesh
from nerf2mesh.config import load_config
from nerf2mesh.evaluate.metrics.images import psnr
from nerf2mesh.fields import HashGridField
from nerf2mesh.mesh import MeshConfig, TriangleMesh, save_mesh
from nerf2mesh.mesh.vectors import unit
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder
from nerf2mesh.refine.atlas import with_atlas
from nerf2mesh.refine.held import seen
from nerf2mesh.refine.measure import paint_db
from nerf2mesh.refine.render_command import render_source
from nerf2mesh.refine.round import Round, begin
from nerf2mesh.refine.source import load_source
from nerf2mesh.refine.start import all_around, fit_start
from nerf2mesh.render import OccupancyGrid, VolumeRenderer, rasterize_mesh
from nerf2mesh.utils.checkpoint import write_checkpoint

EDITS = ("start", "recolor", "reshape")
COLUMNS = {
    "start": ("start_db", "least_view_db", "s", "cpu_s", "load"),
    **dict.fromkeys(EDITS[1:], ("moved_percent", "outside_db", "inside_db", "s", "cpu_s", "load")),
}
SIZE_PX = 384
SIDE = {"azimuth_deg": 30.0, "elevation_deg": 20.0}
HALF_EXTENT = 0.62
FROM_HEIGHT, STRETCH = 0.6, 0.4
SETTINGS = (
    "experiment=refine",
    "optimize.steps=60",
    "report=quiet",
    "report.turntable_frames=0",
    "refine.keep_topology=true",
)
ALONE = ("distill.weight=0.0", "distill.n_views=1", "optimize.steps=30")
N_CAMERAS, CAMERA_PX, UNSEEN_DEG = 8, 256, 100.0
BARS = {"moved_percent": "< 0.3", "outside_db": "> 38", "inside_db": "> 28", "start_db": "> 32", "s of start": "< 30"}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("benchmarks refine", description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--edits", nargs="+", choices=EDITS, default=list(EDITS))
    parser.add_argument("--most", type=int, default=10**6, help="end after so many edits")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    asked = parser.parse_args(argv)
    if asked.data is None and not asked.table:
        parser.error("--data: expected a folder of objects, got none; name it, or say --table")
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / "refine.json"
    rows = json.loads(path.read_text()) if path.is_file() else {}
    if not asked.table:
        folder = ObjectFolder(asked.data)
        wanted = [(edit, entry) for edit in asked.edits for entry in chosen(folder, asked.n)]
        for edit, entry in [item for item in wanted if f"{item[1].path.stem} {item[0]}" not in rows][: asked.most]:
            key = f"{entry.path.stem} {edit}"
            rows[key] = {"kind": entry.kind, **measured(folder, entry, edit, asked.out / entry.path.stem)}
            path.write_text(json.dumps(rows, indent=1) + "\n")
            print(key, json.dumps(rows[key]), flush=True)
    print(table(rows))
    return 0


def chosen(folder: ObjectFolder, n: int) -> list[ObjectEntry]:
    """Held-out objects with colors, of different kinds by turns, in the order of the manifest."""
    kinds: dict[str, list[ObjectEntry]] = {}
    for entry in folder.split("heldout"):
        if entry.uncolored is False:
            kinds.setdefault(entry.kind, []).append(entry)
    found: list[ObjectEntry] = []
    for k in range(max(map(len, kinds.values()), default=0)):
        found += [entries[k] for entries in kinds.values() if k < len(entries)]
    return found[:n]


def measured(folder: ObjectFolder, entry: ObjectEntry, edit: str, out: Path) -> dict[str, object]:
    """One edit of one object; its files lie in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    source, start = out / "source.glb", out / "start.safetensors"
    if not source.is_file():
        mesh, _ = with_atlas(folder.read(entry).triangle_mesh().normalized(HALF_EXTENT), MeshConfig(texture_size=512))
        save_mesh(mesh, source)
    fitted = {} if start.is_file() and edit != "start" else started(source, start)
    if edit == "start":
        return fitted
    overrides = [f"start_from={source}", *SETTINGS, *(_recolor if edit == "recolor" else _reshape)(source, out)]
    run = out / edit
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    shutil.copy(start, run / "checkpoints")  # as a run finds it that was stopped after the fit
    wall, cpu = time.monotonic(), time.process_time()
    nerf2mesh.fit(overrides=overrides, output_dir=run)
    seconds = {"s": round(time.monotonic() - wall, 1), "cpu_s": round(time.process_time() - cpu, 1)}
    begun = begin(str(source), load_config(overrides).refine, steered=True)
    result = load_source(run).mesh
    _pictures(begun, result, out / f"{edit}.png")
    shutil.rmtree(run / "checkpoints")
    return {**compared(begun, result), **seconds, "load": round(os.getloadavg()[0], 1)}


def started(source: Path, path: Path) -> dict[str, object]:
    """Fits a field to the mesh, keeps it in `path`, and compares it with the mesh from cameras that it has not seen."""
    mesh, config = load_source(source).mesh, load_config([f"start_from={source}", *SETTINGS])
    field = HashGridField(config.field, torch.Generator().manual_seed(config.seed))
    occupancy = OccupancyGrid(config.renderer.occupancy_resolution)
    renderer = VolumeRenderer(config.renderer, field, occupancy)
    wall, cpu = time.monotonic(), time.process_time()
    fit_start(field, renderer, mesh, config.refine.start, seed=config.seed)
    seconds = {"s": round(time.monotonic() - wall, 1), "cpu_s": round(time.process_time() - cpu, 1)}
    write_checkpoint(path, {"field": field.state_dict(), "occupancy": occupancy.state_dict()})
    cameras = all_around(N_CAMERAS, 128, UNSEEN_DEG)
    each = psnr(renderer.render(cameras).over(1.0), rasterize_mesh(mesh, cameras, supersample=3).over(1.0))
    figures = {"start_db": round(float(each.mean()), 2), "least_view_db": round(float(each.min()), 2)}
    return {**figures, **seconds, "load": round(os.getloadavg()[0], 1)}


def _recolor(source: Path, out: Path) -> list[str]:
    """A disc on the object in swapped channels with stripes; the overrides."""
    render_source(source, out / "recolor_view.png", size_px=SIZE_PX, **SIDE)
    pixels = np.array(Image.open(out / "recolor_view.png"))
    rows, columns = np.nonzero(pixels[..., 3] > 250)
    middle = int(np.argmin((rows - np.median(rows)) ** 2 + (columns - np.median(columns)) ** 2))
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    radius = 0.22 * max(np.ptp(rows), np.ptp(columns))
    disc = np.hypot(y - rows[middle], x - columns[middle]) < radius
    stripes = np.where((x + y) // 24 % 2 == 0, 1.0, 0.55)[..., None]
    other = np.clip((0.5 * pixels[..., [2, 0, 1]] + 0.5 * np.array([60, 200, 230])) * stripes, 0, 255)
    painted = pixels.copy()
    painted[disc, :3] = np.round(other[disc])
    Image.fromarray(painted).save(out / "recolor_paint.png")
    Image.fromarray(np.where(disc, 255, 0).astype(np.uint8)).save(out / "recolor_mask.png")
    files = {"paint": "recolor_paint.png", "mask": "recolor_mask.png", "camera": "recolor_view.json"}
    return [*(f"refine.{name}={out / file}" for name, file in files.items()), *ALONE]


def _reshape(source: Path, out: Path) -> list[str]:
    """The top of the object stretched upwards; the overrides."""
    mesh = load_source(source).mesh
    low, high = mesh.bounds
    start = low[2] + FROM_HEIGHT * (high[2] - low[2])
    above = np.maximum(mesh.vertices[:, 2] - start, 0.0)
    vertices = mesh.vertices + np.stack([0.0 * above, 0.0 * above, STRETCH * above], axis=1)
    save_mesh(replace(mesh, vertices=vertices, vertex_normals=unit(mesh.normals)), out / "reshape_truth.glb")
    render_source(out / "reshape_truth.glb", out / "reshape_paint.png", size_px=SIZE_PX, **SIDE)
    top = high[2] + STRETCH * (high[2] - start) + 0.05
    box = [*(low[:2] - 0.05), start, *(high[:2] + 0.05), top]
    return [f"refine.paint={out}/reshape_paint.png", "refine.box=[" + ",".join(f"{x:.4f}" for x in box) + "]"]


def compared(begun: Round, result: TriangleMesh) -> dict[str, object]:
    """What stayed and what is painted."""
    source = begun.source.mesh
    rest = source.vertices[~begun.region(source.vertices)]
    size = float(np.ptp(source.bounds, axis=0).max())
    moved = KDTree(result.vertices).query(rest)[0].max(initial=0.0) / size
    errors, cameras = [], all_around(N_CAMERAS, CAMERA_PX, UNSEEN_DEG)
    for k in range(N_CAMERAS):
        before = seen(source, cameras[k], begun.region, begun.grid)
        now = rasterize_mesh(result, cameras[k], supersample=3).over(1.0)
        was = rasterize_mesh(source, cameras[k], supersample=3).over(1.0)
        shown = torch.from_numpy(~before.free) & (before.image[..., 3] > 0.5)
        errors.append((now - was).square()[shown])
    outside = -10.0 * float(torch.cat(errors).mean().clamp_min(1e-10).log10())
    return {
        "moved_percent": round(100.0 * moved, 4),
        "outside_db": round(outside, 2),
        "inside_db": round(float(paint_db(begun, result) or 0.0), 2),
        "change": begun.change,
    }


def _pictures(begun: Round, result: TriangleMesh, path: Path) -> None:
    """Before, paint-over, after, and after from two other sides."""
    assert begun.painted is not None
    view = begun.painted
    alpha = view.image[..., 3:]
    others = [view.camera.turned(angle) for angle in (90.0, 180.0)]
    row = [
        rasterize_mesh(begun.source.mesh, view.camera, supersample=3).over(1.0),
        view.image[..., :3] * alpha + 1 - alpha,
    ]
    row += [rasterize_mesh(result, camera, supersample=3).over(1.0) for camera in (view.camera, *others)]
    Image.fromarray(np.round(255.0 * torch.cat(row, dim=1).clamp(0, 1).numpy()).astype(np.uint8)).save(path)


def table(rows: dict[str, dict[str, object]]) -> str:
    """Markdown, a table for each edit, with means and extremes."""
    lines: list[str] = []
    for edit in EDITS:
        some = {key.split()[0]: row for key, row in sorted(rows.items()) if key.endswith(edit)}
        names = COLUMNS[edit]
        lines += ["", f"| {edit} | kind | " + " | ".join(names) + " |", "| --- | --- |" + " ---: |" * len(names)]
        lines += [
            f"| {name} | {row['kind']} | " + " | ".join(str(row[n]) for n in names) + " |" for name, row in some.items()
        ]
        for word, function in (("mean", np.mean), ("least", np.min), ("most", np.max)) if some else ():
            values = [function([float(str(row[name])) for row in some.values()]) for name in names]
            lines.append(f"| {word} | {len(some)} objects | " + " | ".join(f"{value:.3g}" for value in values) + " |")
    return "\n".join([*lines, "", "bars: " + ", ".join(f"{name} {bar}" for name, bar in BARS.items())])
