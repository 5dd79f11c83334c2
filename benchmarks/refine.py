"""Rounds of refinement on meshes that no prior was trained on: what stays, what the paint-over becomes, the seconds.

    python -m benchmarks refine --data FOLDER --n 10 --out DIR [--edits recolor reshape] [--table]

Every object becomes a textured GLB and is changed twice by the command's own way (`nerf2mesh.fit` with start_from):

recolor   a disc is painted on a rendering of the front, in other colors with stripes; nothing but the paint-over says
          so (distill.weight=0)
reshape   what is above 60 % of the height is stretched by 40 %, drawn from the same side and given as a paint-over with
          a box as the region; the built-in prior steers

Both keep the topology. The GLB is read back. Outside: the furthest that any of the source's vertices outside the region
is from a vertex of the result, as a share of the longest side; the PSNR over 8 cameras in the pixels whose ray meets
nothing of the region. Inside: the PSNR against the paint-over in the pixels that were painted. Start: the field as it
was fitted to the mesh against the mesh from 8 cameras that the fit has not seen, before white, and the seconds that it
took; both edits of an object begin with the same fit. Every edit is written to DIR/refine.json when it is done; the
same command goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from nerf2mesh.refine.start import all_around
from nerf2mesh.render import OccupancyGrid, VolumeRenderer, rasterize_mesh
from nerf2mesh.run import refining
from nerf2mesh.utils.checkpoint import read_checkpoint

EDITS = ("recolor", "reshape")
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
BARS = {"moved_percent": "< 0.3", "outside_db": "> 38", "inside_db": "> 28", "start_db": "> 32", "start_s": "< 30"}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("benchmarks refine", description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--edits", nargs="+", choices=EDITS, default=list(EDITS))
    parser.add_argument("--seconds", type=float, default=1e9, help="no edit is begun after so many")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    asked = parser.parse_args(argv)
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / "refine.json"
    rows = json.loads(path.read_text()) if path.is_file() else {}
    began = time.monotonic()
    if not asked.table:
        folder = ObjectFolder(asked.data)
        for edit in asked.edits:
            for entry in chosen(folder, asked.n):
                key = f"{entry.path.stem} {edit}"
                if key not in rows and time.monotonic() - began < asked.seconds:
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
    source = out / "source.glb"
    if not source.is_file():
        mesh, _ = with_atlas(folder.read(entry).triangle_mesh().normalized(HALF_EXTENT), MeshConfig(texture_size=512))
        save_mesh(mesh, source)
    asked = (_recolor if edit == "recolor" else _reshape)(source, out)
    run = out / edit
    begun_at = time.monotonic()
    overrides = [f"start_from={source}", *SETTINGS, *asked]
    if (kept := out / "start.safetensors").is_file():
        (run / "checkpoints").mkdir(parents=True, exist_ok=True)
        shutil.copy(kept, run / "checkpoints")
    with start_timed() as start_cpu_s:
        nerf2mesh.fit(overrides=overrides, output_dir=run)
    seconds = time.monotonic() - begun_at
    times = json.loads((run / "timings.json").read_text())
    begun = begin(str(source), load_config(overrides).refine, steered=True)
    result = replace(load_source(run).mesh)
    figures = compared(begun, result) | started(begun, run, overrides)
    _pictures(begun, result, out / f"{edit}.png")
    shutil.move(run / "checkpoints" / kept.name, kept)
    shutil.rmtree(run / "checkpoints")
    if start_cpu_s:
        figures |= {"start_s": round(times["start"]["seconds"], 1), "start_cpu_s": round(start_cpu_s[0], 1)}
    figures |= {"total_s": round(seconds, 1)}
    return {**figures, "load": os.getloadavg()[0]}


@contextmanager
def start_timed() -> Iterator[list[float]]:
    """Inside, the processor time of the fit to the source is appended: that of the clock counts other programs too."""
    seconds: list[float] = []
    fit = refining.fit_start

    def timed(*arguments: Any, **more: Any) -> None:
        began = time.process_time()
        fit(*arguments, **more)
        seconds.append(time.process_time() - began)

    refining.fit_start = timed
    try:
        yield seconds
    finally:
        refining.fit_start = fit


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


def started(begun: Round, run: Path, overrides: Sequence[str]) -> dict[str, object]:
    """PSNR of the field as it was fitted to the source."""
    config = load_config(overrides)
    field, occupancy = HashGridField(config.field), OccupancyGrid(config.renderer.occupancy_resolution)
    values = read_checkpoint(run / "checkpoints" / "start.safetensors")
    field.load_state_dict(values["field"])
    occupancy.load_state_dict(values["occupancy"])
    cameras = all_around(N_CAMERAS, 128, UNSEEN_DEG)
    wanted = rasterize_mesh(begun.source.mesh, cameras, supersample=3).over(1.0)
    found = VolumeRenderer(config.renderer, field, occupancy).render(cameras).over(1.0)
    each = psnr(found, wanted)
    return {"start_db": round(float(each.mean()), 2), "start_least_db": round(float(each.min()), 2)}


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
    """Markdown, with means and extremes."""
    names = ("moved_percent", "outside_db", "inside_db", "start_db", "start_s", "start_cpu_s", "total_s")
    lines = ["| object | edit | " + " | ".join(names) + " |", "| --- | --- |" + " ---: |" * len(names)]
    for key, row in sorted(rows.items(), key=lambda item: item[0].split()[::-1]):
        name, edit = key.split()
        values = " | ".join(str(row.get(item, "-")) for item in names)
        lines.append(f"| {name} ({row['kind']}) | {edit} | {values} |")
    for edit in EDITS:
        some = [row for key, row in rows.items() if key.endswith(edit)]
        for word, function in (("mean", np.mean), ("least", np.min), ("most", np.max)) if some else ():
            columns = [[float(str(row[item])) for row in some if item in row] for item in names]
            values = " | ".join(f"{function(column):.3g}" if column else "-" for column in columns)
            lines.append(f"| {word} of {len(some)} | {edit} | {values} |")
    return "\n".join([*lines, "", "bars: " + ", ".join(f"{name} {bar}" for name, bar in BARS.items())])
