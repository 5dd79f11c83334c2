"""Floor plans: rooms, areas and openings of six drawn plans, as PNG, PDF, SVG and DXF.

    python -m benchmarks plans                      # --keep FOLDER writes the building of each plan as a GLB

`tests.inputs.drawn_plans` draws known rooms (thick, thin, slanted and curved walls) with text, dimension lines and
furniture. Areas are compared room by room in reading order; an opening counts as found where one of its kind stands
within 0.11 m of it, as wide up to 0.11 m. Nodes are checked by another library after the GLB was read back.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.plan import Plan, read_plan
from nerf2mesh.mesh.export.scene import save_scene
from nerf2mesh.mesh.solid.building import building_parts

NEAR_M = 0.11
KINDS = ("png", "pdf", "svg", "dxf")
MM_PER_PX = {"round": 15.0}
"""Of the PNG, 20 where nothing else is said."""


def written(draw, name: str, kind: str, folder: Path) -> InputConfig:
    """Draws a plan into `folder`; the input that reads it."""
    plan, path = draw.PLANS[name](), folder / f"{name}.{kind}"
    if kind == "png":
        pixel_mm = MM_PER_PX.get(name, 20.0)
        return InputConfig(kind="plan", image=str(draw.write_png(plan, path, pixel_mm)), mm_per_px=pixel_mm)
    if kind == "pdf":
        return InputConfig(kind="plan", image=str(draw.write_pdf(plan, path, 100.0)), scale=100.0)
    if kind == "svg":
        return InputConfig(kind="plan", image=str(draw.write_svg(plan, path, 10.0)), mm_per_px=10.0)
    return InputConfig(kind="plan", image=str(draw.write_dxf(plan, path)))


def found_openings(plan: Plan, truth) -> int:
    """How many of the drawn openings were found."""
    places = [(o.kind, *o.gap.middle, o.gap.width) for o in plan.openings]
    drawn = [(o.kind, *np.mean([o.start, o.stop], axis=0), o.width) for o in truth.openings]
    return sum(
        any(kind == k and max(abs(x - u), abs(y - v), abs(width - w)) < NEAR_M for k, u, v, w in places)
        for kind, x, y, width in drawn
    )


def open_nodes(path: Path) -> int:
    """Nodes of a GLB that are not closed, by trimesh."""
    nodes = list(trimesh.load(path).geometry.values())
    for node in nodes:
        node.merge_vertices(merge_norm=True, merge_tex=True)
    return sum(not node.is_watertight for node in nodes)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each plan and kind; exit code 1 where a room, an area or an opening is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks plans", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--keep", type=Path, help="folder for the GLB files")
    asked = parser.parse_args(argv)
    from tests.inputs import drawn_plans as draw

    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name, kind in ((name, kind) for name in draw.PLANS for kind in KINDS):
            config = written(draw, name, kind, Path(scratch))
            truth, plan = draw.PLANS[name](), read_plan(config)
            path = folder / f"{name}_{kind}.glb"
            save_scene(building_parts(plan, config), path)
            same = len(plan.rooms) == len(truth.areas_m2)
            areas = [room.area_m2 for room in plan.rooms]
            worst = float(np.abs(np.divide(areas, truth.areas_m2) - 1.0).max()) if same else np.inf
            found, drawn, left = found_openings(plan, truth), len(truth.openings), open_nodes(path)
            failed += not (same and worst < 0.02 and found == drawn == len(plan.openings) and not left)
            print(
                f"{name:>10}  {kind}  rooms {len(plan.rooms)} of {len(truth.areas_m2)}  areas off up to {worst:.2%}  "
                f"openings {found} of {drawn}, {len(plan.openings) - found} more  open nodes {left}",
                flush=True,
            )
    return int(failed > 0)
