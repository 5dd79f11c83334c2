"""Character sheets: how much the second and the third drawing of a figure add.

    python -m benchmarks sheets --objects FOLDER --n 20 --views 1 2 3 --look cel --out FILE.json
    python -m benchmarks sheets --objects FOLDER --sides front right front_right --out OTHER.json

Objects that no prior was trained on (splits heldout and outside, kinds in the order that is given, in each the held-out
ones first) are drawn from level sides (front, right and back unless `--sides` says others) by `procedural.drawing`, as
orthographic cameras see them, onto one white page, which `input=sheet` reads. Of one and two views the page has the
first ones. The object has one size in the world for any number of views; nothing is aligned afterwards. Solids are
those of `benchmarks.solid`. Objects that are too thin for them, or whose page is refused, are named and left out.
The same command with the same FILE.json goes on where it stopped.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.kept import keep_rows, kept_rows
from benchmarks.solid import hidden_iou, hidden_solid
from nerf2mesh.api import fit
from nerf2mesh.evaluate.protocols.canonical import canonical_frame
from nerf2mesh.evaluate.protocols.objects import lit_mesh
from nerf2mesh.evaluate.tables.statistics import bootstrap_interval
from nerf2mesh.inputs.figures import side_cameras
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder, hashed_order
from nerf2mesh.procedural.drawing import draw
from nerf2mesh.procedural.gbuffer import mesh_gbuffer
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import DEFAULT_DISTANCE, DEFAULT_FOV_DEG, Camera

SIDES = ("front", "right", "back")
LEVEL = ("front", "front_left", "left", "back_left", "back", "back_right", "right", "front_right")
FILL = 0.7
"""`input.fill` where front and right are shown."""
FIGURE_PX = 320
FRAME = 2.0 * DEFAULT_DISTANCE * np.tan(np.radians(DEFAULT_FOV_DEG / 2.0))
"""World units that the side of an orthographic frame covers."""
THIN = 0.002
"""Objects whose solid is a smaller share of the cube are left out: voxels are no measure for them."""
ONLY_WHAT_IS_MEASURED = ("mesh.texture=false", "report.html=false", "report.turntable_frames=0", "report.quiet=true")


def chosen(folder: ObjectFolder, kinds: Sequence[str], n: int) -> list[ObjectEntry]:
    """At least n objects that are not for training. ValueError where there are fewer."""
    found: list[ObjectEntry] = []
    for kind in kinds:
        for split in ("heldout", "outside"):
            found += hashed_order([entry for entry in folder.split(split) if entry.kind == kind])
    if len(found) < n:
        raise ValueError(f"n: expected at most {len(found)}, the objects of {', '.join(kinds)}, got {n}; name more")
    return found


def sized(mesh: TriangleMesh) -> TriangleMesh:
    """The mesh, centered, its longest side as `input=sheet` makes it of a page with all three sides."""
    mesh = canonical_frame(mesh)
    longest = float((mesh.vertices.max(0) - mesh.vertices.min(0)).max())
    return canonical_frame(mesh, radius=0.9 * FILL * FRAME / longest)


def fill_of(mesh: TriangleMesh, sides: Sequence[str]) -> float:
    """`input.fill` with which these sides give the same size: the longest extent that they show, of the frame."""
    azimuth = np.radians(side_cameras(sides)[0])
    across = np.stack([-np.sin(azimuth), np.cos(azimuth)]).T @ mesh.vertices[:, :2].T
    height = mesh.vertices[:, 2].max() - mesh.vertices[:, 2].min()
    return float(max(height, np.ptp(across, axis=1).max())) / FRAME


def figures(mesh: TriangleMesh, look: str, sides: Sequence[str]) -> torch.Tensor:
    """The drawings of level sides, straight RGBA [n, s, s, 4]."""
    azimuths = torch.tensor(side_cameras(sides)[0])
    cameras = Camera.orbit(azimuths, torch.zeros(len(sides)), width_px=FIGURE_PX, orthographic=True)
    rendering = rasterize_mesh(mesh, cameras, supersample=2, shading="lambert")
    return draw(mesh_gbuffer(rendering, cameras), look)


def write_page(path: Path, drawings: torch.Tensor) -> None:
    """The drawings beside each other on white, as a PNG without alpha."""
    over = drawings[..., :3] * drawings[..., 3:] + 1.0 - drawings[..., 3:]
    page = torch.cat(list(over), dim=1).clamp(0, 1)
    Image.fromarray((page * 255).round().byte().numpy()).save(path)


def measured(mesh: TriangleMesh, sides: Sequence[str], look: str, overrides: Sequence[str]) -> dict[str, float]:
    """Volume IoU (`benchmarks.solid`) of the fit to a page with these sides."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.png"
        write_page(page, figures(mesh, look, sides))
        views, domain = ",".join(sides), "photo" if look in ("photo", "albedo", "cel") else "lineart"
        asked = ["input=sheet", f"input.image={page}", f"input.views=[{views}]", f"input.domain={domain}"]
        result = fit(overrides=[*asked, f"input.fill={fill_of(mesh, sides):.5f}", *ONLY_WHAT_IS_MEASURED, *overrides])
    assert result.mesh is not None
    found = hidden_iou(result.mesh, mesh)
    return {"views": len(sides), "volume_iou": found, "seconds": time.perf_counter() - start}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs all, prints a line for each and the means with their intervals, and writes them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks sheets", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--objects", type=Path, required=True, help="folder of meshes with a manifest.jsonl")
    parser.add_argument("--kinds", nargs="+", default=["character", "animal", "other"])
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--views", type=int, nargs="+", choices=[1, 2, 3], default=[1, 2, 3])
    parser.add_argument("--sides", nargs=3, default=list(SIDES), choices=list(LEVEL), help="in the order of the page")
    parser.add_argument("--look", default="cel", help="of procedural.drawing: cel, line, pencil ...")
    parser.add_argument("--overrides", nargs="*", default=["preset=preview"], help="settings of the runs")
    parser.add_argument("--out", type=Path, help="JSON file for the figures, written after every object")
    asked = parser.parse_args(argv)
    folder = ObjectFolder(asked.objects)
    settings = {"look": asked.look, "overrides": asked.overrides}
    if tuple(asked.sides) != SIDES:
        settings["sides"] = asked.sides
    rows: list[dict[str, Any]] = list(kept_rows(asked.out, settings))
    done = {row["object"] for row in rows}
    for entry in chosen(folder, asked.kinds, asked.n):
        if len(rows) == asked.n * len(asked.views):
            break
        if entry.path.stem in done:
            continue
        mesh = sized(lit_mesh(folder.read(entry), entry.path.name))
        if float(hidden_solid(mesh).float().mean()) < THIN:
            print(f"{entry.path.stem} is left out: it is too thin", flush=True)
            continue
        about = {"object": entry.path.stem, "split": entry.split, "kind": entry.kind}
        try:
            rows += [about | measured(mesh, asked.sides[:n], asked.look, asked.overrides) for n in asked.views]
        except ValueError as error:
            print(f"{entry.path.stem} is left out: {error}", flush=True)
            continue
        for row in rows[-len(asked.views) :]:
            told = (f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values())
            print("  ".join(told), flush=True)
        keep_rows(asked.out, settings, rows)
    print("\n".join(summary(rows, asked.views)))
    return 0


def summary(rows: Sequence[dict[str, Any]], views: Sequence[int]) -> list[str]:
    """Means by number of views, and the paired gains over the first, with 95 % intervals over objects."""
    columns = {n: np.array([row["volume_iou"] for row in rows if row["views"] == n], np.float64) for n in views}
    lines = []
    for n, values in columns.items():
        low, high = bootstrap_interval(values.tolist())
        gain = values - columns[views[0]]
        less, more = bootstrap_interval(gain.tolist())
        lines.append(
            f"{n} views, {len(values)} objects: volume IoU {values.mean():.4f} ({low:.4f} to {high:.4f}), gain "
            f"{gain.mean():+.4f} ({less:+.4f} to {more:+.4f}), better on {int((gain > 0).sum())}"
        )
    return lines
