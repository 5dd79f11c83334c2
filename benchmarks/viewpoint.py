"""How well elevation and field of view are told from one picture, and what it is worth.

    python -m benchmarks viewpoint --objects FOLDER --out FILE.json               # errors, without any fit
    python -m benchmarks viewpoint --objects FOLDER --fits 12 --told true default auto

Errors: every object of the splits heldout and outside, as a picture of 128 px at a random azimuth, elevation and field
of view (uniform in the ranges that are given), lit from a random side; the cut-out is given, nothing else. Fits: the
first objects of the draw of protocol `objects`, held out, each from one of ELEVATIONS_DEG in turn, framing given,
azimuth 0; volume IoU by `benchmarks.solid` of runs that are told the true elevation, the default, or `auto`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.solid import hidden_iou
from nerf2mesh.api import fit
from nerf2mesh.evaluate.protocols.canonical import canonical_frame
from nerf2mesh.evaluate.protocols.objects import draw, lit_mesh
from nerf2mesh.evaluate.tables.statistics import bootstrap_interval
from nerf2mesh.inputs import InputConfig
from nerf2mesh.inputs.viewpoint.predict import Viewpoint, estimated
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.objects.folder import ObjectFolder
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import DEFAULT_DISTANCE, DEFAULT_FOV_DEG, Camera

ELEVATIONS_DEG = (-5.0, 15.0, 30.0, 50.0)
EDGES_DEG = (0, 5, 10, 15, 20, 30, 45, 180)
"""Of the histogram."""
USUAL = {"elevation": InputConfig().elevation_deg, "fov": DEFAULT_FOV_DEG}
PICTURE_PX = 128
ONLY_WHAT_IS_MEASURED = ("mesh.texture=false", "report.html=false", "report.turntable_frames=0", "report.quiet=true")


def picture(mesh: TriangleMesh, camera: Camera, light: torch.Tensor | None = None) -> np.ndarray:
    """Straight RGBA [s, s, 4] of a mesh, flat or lit from a direction."""
    lit = {} if light is None else {"shading": "lambert", "light_direction": light, "ambient": 0.6}
    rgba = rasterize_mesh(mesh, camera, supersample=2, **lit).rgba
    return torch.cat([rgba[..., :3] / rgba[..., 3:].clamp_min(1e-6), rgba[..., 3:]], dim=-1).clamp(0, 1).numpy()


def random_views(folder: ObjectFolder, split: str, elevation: Sequence[float], fov: Sequence[float]) -> list[dict]:
    """One picture of every object of a split, with its true angles."""
    rows = []
    for number, entry in enumerate(folder.split(split)):
        rng = np.random.default_rng([number, 77])
        angles = rng.uniform(-180, 180), rng.uniform(*elevation), rng.uniform(*fov)
        distance = DEFAULT_DISTANCE * np.tan(np.radians(DEFAULT_FOV_DEG / 2)) / np.tan(np.radians(angles[2] / 2))
        camera = Camera.orbit(*angles[:2], distance=distance, fov_deg=angles[2], width_px=PICTURE_PX)
        mesh = canonical_frame(lit_mesh(folder.read(entry), entry.path.name))
        light = torch.tensor([*rng.normal(size=2), abs(rng.normal()) + 0.3]).float()
        shown = picture(mesh, camera, light / light.norm())
        if (shown[..., 3] > 0.5).any():
            rows.append({"split": split, "elevation": angles[1], "fov": angles[2], "picture": shown})
    return rows


def error_table(rows: Sequence[dict], found: Sequence[Viewpoint]) -> dict[str, object]:
    """Median and mean absolute errors and histograms; beside them the default and the best constant."""
    table: dict[str, object] = {"n": len(rows)}
    for name, values in (
        ("elevation", [one.elevation_deg for one in found]),
        ("fov", [one.fov_deg for one in found]),
    ):
        true = np.array([row[name] for row in rows])
        error = np.abs(np.array(values) - true)
        table[name] = {
            "median_deg": float(np.median(error)),
            "mean_deg": float(error.mean()),
            "default_median_deg": float(np.median(np.abs(true - USUAL[name]))),
            "constant_median_deg": float(np.median(np.abs(true - np.median(true)))),
            "histogram": {f"{a}-{b}": int(((error >= a) & (error < b)).sum()) for a, b in pairwise(EDGES_DEG)},
        }
    sure = np.array([one.elevation_confidence for one in found])
    error = np.abs(np.array([one.elevation_deg for one in found]) - np.array([row["elevation"] for row in rows]))
    table["confident"] = [
        {"confidence_from": low, "n": int((sure >= low).sum()), "median_deg": float(np.median(error[sure >= low]))}
        for low in (0.0, 0.5, 0.7, 0.9)
        if (sure >= low).any()
    ]
    return table


def fits(folder: ObjectFolder, n: int, told: Sequence[str], overrides: Sequence[str]) -> list[dict]:
    """Volume IoU of runs that are told the elevation in each of the ways."""
    rows = []
    for number, entry in enumerate(list(draw(folder.split("heldout"), 0))[:n]):
        elevation = ELEVATIONS_DEG[number % len(ELEVATIONS_DEG)]
        mesh = canonical_frame(lit_mesh(folder.read(entry), entry.path.name))
        shown = picture(mesh, Camera.orbit(0.0, elevation, width_px=256))
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "picture.png"
            Image.fromarray((shown * 255).round().astype(np.uint8)).save(path)
            for way in told:
                start = time.perf_counter()
                said = {"true": f"{elevation}", "default": f"{USUAL['elevation']}", "auto": "auto"}[way]
                asked = [f"input.image={path}", "input.recenter=false", f"input.elevation_deg={said}"]
                result = fit(overrides=[*asked, *ONLY_WHAT_IS_MEASURED, *overrides])
                assert result.mesh is not None
                used = float(result.observations.views[0].camera.elevation_deg)
                row = {"object": entry.path.stem, "elevation": elevation, "told": way, "used": used}
                rows.append(row | {"volume_iou": hidden_iou(result.mesh, mesh), "seconds": time.perf_counter() - start})
                print("  ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in rows[-1].values()), flush=True)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the errors by split, or the fits and their means, and writes them as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks viewpoint", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--objects", type=Path, required=True, help="folder of meshes with a manifest.jsonl")
    parser.add_argument("--elevation", type=float, nargs=2, default=[-10.0, 60.0], help="range of the errors' pictures")
    parser.add_argument("--fov", type=float, nargs=2, default=[20.0, 55.0])
    parser.add_argument("--fits", type=int, default=0, help="so many objects are fitted, instead of the errors")
    parser.add_argument("--told", nargs="+", choices=["true", "default", "auto"], default=["true", "default", "auto"])
    parser.add_argument("--overrides", nargs="*", default=["preset=preview"], help="settings of the runs")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    asked = parser.parse_args(argv)
    folder = ObjectFolder(asked.objects)
    if asked.fits:
        rows = fits(folder, asked.fits, asked.told, asked.overrides)
        figures: dict[str, object] = {"overrides": asked.overrides, "rows": rows}
        for way in asked.told:
            values = np.array([row["volume_iou"] for row in rows if row["told"] == way])
            low, high = bootstrap_interval(values)
            print(f"{way}: volume IoU {values.mean():.4f} ({low:.4f} to {high:.4f}), {len(values)} fits")
    else:
        figures = {"elevation": asked.elevation, "fov": asked.fov}
        for split in ("heldout", "outside"):
            views = random_views(folder, split, asked.elevation, asked.fov)
            figures[split] = error_table(views, estimated([row["picture"] for row in views]))
            print(split, json.dumps(figures[split], indent=1))
    if asked.out:
        asked.out.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0
