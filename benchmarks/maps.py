"""Depth and normal maps: how much each of them adds to one picture.

    python -m benchmarks maps --objects FOLDER --n 20 --out FILE.json

Objects, picture, camera and scores are those of protocol `objects` (docs/objects-protocol.md); the maps are of the
given picture, from the same rasterizer: a 16-bit PNG of relative depth (scale and shift are not told) and an 8-bit PNG
of normals (OpenGL, the camera's axes), both read from files. Each object is fitted with none, with the depth, with the
normals, and with both, one after the other. Beside the scores of the protocol, FRONT: the field's surface in the given
view. The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.kept import keep_rows, kept_rows
from nerf2mesh.api import Result, fit
from nerf2mesh.evaluate.protocols.objects import drawn_names, object_case
from nerf2mesh.evaluate.protocols.scoring import Case, score
from nerf2mesh.evaluate.tables.pictures import write_png
from nerf2mesh.evaluate.tables.statistics import bootstrap_interval
from nerf2mesh.render import rasterize_mesh

GIVEN = {"none": (), "depth": ("depth",), "normals": ("normal",), "both": ("depth", "normal")}
MEASURED = ("volume_iou", "psnr", "chamfer", "normal_error_deg")
FRONT = ("front_depth_rms", "front_depth_correlation", "front_normal_deg")
FRONT_PX = 96
ONLY_WHAT_IS_MEASURED = ("mesh.texture=false", "report.html=false", "report.turntable_frames=0", "report.quiet=true")
TOLD = ("input.depth_kind=relative", "input.normal_axes=opengl", "input.normal_frame=camera")


def write_maps(case: Case, folder: Path) -> None:
    """picture.png, depth.png and normal.png of the case's input view."""
    write_png(folder / "picture.png", case.image)
    shown = rasterize_mesh(case.known_mesh, case.camera)
    rotation, covered = case.camera.camera_to_world[:3, :3], shown.opacity > 0.5
    depth = (shown.depth * (case.camera.rays().directions @ -rotation[:, 2])).double()
    low, high = depth[covered].min(), depth[covered].max()
    stored = torch.where(covered, 1.0 + 65534.0 * (depth - low) / (high - low).clamp_min(1e-9), 0.0)
    Image.fromarray(stored.round().numpy().astype(np.uint16)).save(folder / "depth.png")
    colors = 127.5 + 127.5 * torch.nn.functional.normalize(shown.normal @ rotation, dim=-1)
    Image.fromarray(colors.round().clamp(0, 255).to(torch.uint8).numpy()).save(folder / "normal.png")


def measured(case: Case, given: str, overrides: Sequence[str], folder: Path) -> dict[str, float]:
    """The scores of a fit that is given the picture and the maps of GIVEN[given]."""
    camera, start = case.camera, time.process_time()
    taken = {
        "azimuth_deg": float(camera.azimuth_deg),
        "elevation_deg": float(camera.elevation_deg),
        "distance": float(camera.position.norm()),
    }
    settings = [f"input.{key}={round(value, 4)}" for key, value in taken.items()]
    settings += ["input.foreground=alpha", "input.recenter=false"]
    maps = [f"input.{name}={folder / name}.png" for name in GIVEN[given]]
    result = fit(folder / "picture.png", overrides=[*settings, *maps, *TOLD, *ONLY_WHAT_IS_MEASURED, *overrides])
    assert result.mesh is not None
    seconds = time.process_time() - start
    scores = score(case, result.mesh)
    return {name: scores[name] for name in MEASURED} | front(case, result) | {"cpu_seconds": seconds}


def front(case: Case, result: Result) -> dict[str, float]:
    """How well the field's surface fits the truth in the given view, where both are: FRONT (world units, degrees)."""
    assert result.renderer is not None
    camera = case.camera.resized(FRONT_PX, FRONT_PX)
    true, found = rasterize_mesh(case.known_mesh, camera), result.renderer.render(camera, normals="finite_difference")
    assert true.normal is not None and found.normal is not None
    both = (true.opacity > 0.999) & (found.opacity > 0.5)
    if int(both.sum()) < 3:
        return dict.fromkeys(FRONT, math.nan)
    depths = torch.stack([found.depth[both], true.depth[both]]).double()
    cosine = torch.nn.functional.cosine_similarity(found.normal, true.normal, dim=-1)[both]
    apart = float((depths[0] - depths[1]).square().mean().sqrt()), float(torch.corrcoef(depths)[0, 1])
    return dict(zip(FRONT, (*apart, float(torch.rad2deg(cosine.clamp(-1, 1).acos()).mean()))))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs all, prints a line for each and the means with their intervals, and writes them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks maps", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--objects", required=True, help="folder of meshes with a manifest.jsonl")
    parser.add_argument("--n", type=int, default=20, help="objects, half of them of each split")
    parser.add_argument("--overrides", nargs="*", default=["preset=preview"], help="settings of the runs")
    parser.add_argument("--out", type=Path, help="JSON file for the figures, written after every fit")
    parser.add_argument("--only-table", action="store_true", help="of what is in --out already")
    asked = parser.parse_args(argv)
    settings = {"overrides": asked.overrides}
    rows = kept_rows(asked.out, settings)
    for name in [] if asked.only_table else drawn_names(asked.objects, "both", (asked.n + 1) // 2)[: asked.n]:
        missing = [given for given in GIVEN if not any(r["object"] == name and r["given"] == given for r in rows)]
        case = object_case(name, asked.objects) if missing else None
        for given in missing:
            assert case is not None
            with tempfile.TemporaryDirectory() as folder:
                write_maps(case, Path(folder))
                rows.append({"object": name, "given": given} | measured(case, given, asked.overrides, Path(folder)))
            print("  ".join(f"{v:.4f}" if isinstance(v, float) else str(v) for v in rows[-1].values()), flush=True)
            keep_rows(asked.out, settings, rows)
    print("\n".join(summary(rows)))
    return 0


def summary(rows: Sequence[dict[str, object]]) -> list[str]:
    """Means over the objects that all four have, and paired gains over none, with 95 % intervals over objects."""
    scores = {given: {r["object"]: r for r in rows if r["given"] == given} for given in GIVEN}
    names = [name for name in scores["none"] if all(name in of for of in scores.values())]
    lines = [f"{len(names)} objects"] if names else []
    known = [m for m in (*MEASURED, *FRONT) if all(m in of[name] for of in scores.values() for name in names)]
    for given, name in [(g, m) for m in known for g in GIVEN] if names else []:
        values, before = (
            np.array([scores[which][thing][name] for thing in names], np.float64) for which in (given, "none")
        )
        low, high = bootstrap_interval(values - before)
        lines.append(
            f"{name:23s} {given:8s} {values.mean():.4f}  {(values - before).mean():+.4f} ({low:+.4f} to {high:+.4f})"
        )
    return lines
