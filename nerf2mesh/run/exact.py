"""Runs whose geometry is read from a sheet: nothing is optimized, and the run folder is the usual one.

A prior could paint what no sheet shows, and a drawing's hull could bound the density of a fit; neither is done here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from nerf2mesh.config import Config
from nerf2mesh.inputs.drawing import read_drawing
from nerf2mesh.inputs.plan import OpenWalls, Plan, read_plan
from nerf2mesh.inputs.plan.elevations import read_elevations
from nerf2mesh.inputs.plan.picture import gap_picture, plan_picture
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.solid.building import building_parts, room_color, walk_start
from nerf2mesh.mesh.solid.hull import hull_parts
from nerf2mesh.mesh.solid.parts import Part, faceted, merged
from nerf2mesh.mesh.solid.surfaces import with_elevations
from nerf2mesh.report import EnergyMeter, StageClock, provenance, write_json, write_report, write_turntable
from nerf2mesh.rights.record import attribution_page
from nerf2mesh.run.finish import save_files, write_times
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.run.pictures import over_grey
from nerf2mesh.run.record import run_record, with_record
from nerf2mesh.run.result import Result
from nerf2mesh.run.rights import Rights, pass_gate
from nerf2mesh.run.settings import told
from nerf2mesh.run.warned import warn
from nerf2mesh.types import Camera, Observations
from nerf2mesh.utils.locks import alone_in
from nerf2mesh.utils.without_paths import without_paths

PLAN_ELEVATION_DEG = 55.0
"""The turntable looks into the rooms, without their ceilings."""
TURNTABLE_EXTENT = 0.8


@dataclass(frozen=True)
class Model:
    """What a sheet became."""

    parts: list[Part]
    notes: dict[str, object]
    """For the report: path, sha256, picture, understood, warnings."""
    metrics: dict[str, object]
    tables: dict[str, object] = field(default_factory=dict)
    """JSON files of the run folder, by name."""
    extras: dict[str, object] = field(default_factory=dict)
    """For the GLB's asset.extras."""


def run_exact(config: Config, overrides: Sequence[str] = (), rights: Rights | None = None) -> Result:
    """The run for `input.kind` plan or drawing.

    rights: what the gate had to say; None asks it.

    Raises:
        ValueError: in one line, what is wrong with the sheet and what to do; where walls are open, a picture of the
            place is in the run folder.
    """
    rights = rights or pass_gate(config, exact=True)
    clock = StageClock(meter=EnergyMeter(config.report.power_w))
    with clock.stage("input"):
        model = plan_model(config) if config.input.kind == "plan" else drawing_model(config)
    observations = Observations((), config.input.prompt, model.notes)
    is_first = os.environ.get("RANK", "0") == "0"
    with alone_in(config.output_dir if is_first else None):
        folder = RunFolder.open(config, overrides, observations) if is_first else None
        said = warn([*rights.notices, *_warnings(model), *told(folder.changed if folder else {})])
        result = Result(merged(model.parts), None, None, observations, config, dict(model.metrics), warnings=said)
        result.parts, result.facts = model.parts, _facts(model.parts)
        if folder is not None:
            _write(result, model, folder, clock, rights)
    return result


def plan_model(config: Config) -> Model:
    """A building from `input.image`; ValueError as in `run_exact`."""
    try:
        plan = read_plan(config.input)
        elevations = read_elevations(plan, config.input)
    except OpenWalls as error:
        raise ValueError(f"{error}{_drawn(error, config.output_dir)}") from error
    colors = [room_color(k) for k in range(len(plan.rooms))]
    sheet = plan.sheet
    notes: dict[str, object] = {
        "path": sheet.path,
        "sha256": sheet.sha256,
        "format": sheet.format,
        "scale": sheet.scale,
    }
    notes |= {"understood": plan_picture(plan, colors), "warnings": list(plan.warnings)}
    notes |= {} if sheet.picture is None else {"picture": sheet.picture}
    parts, said = with_elevations(building_parts(plan, config.input), plan, elevations, config.input)
    notes["warnings"] = [*plan.warnings, *said]
    notes |= {"elevations": {one.name: {"file": Path(one.path).name, "sha256": one.sha256} for one in elevations}}
    return Model(parts, notes, _plan_metrics(plan), {"rooms.json": rooms_table(plan)}, {"walk": walk_start(plan)})


def drawing_model(config: Config) -> Model:
    """A part from `input.image`; ValueError as in `run_exact`."""
    drawing = read_drawing(config.input)
    parts, sheet = hull_parts(drawing), drawing.sheet
    notes: dict[str, object] = {"path": sheet.path, "sha256": sheet.sha256, "format": sheet.format}
    notes |= {"scale": f"{sheet.scale}; {drawing.angle}-angle projection", "warnings": list(drawing.warnings)}
    notes |= {} if sheet.picture is None else {"picture": sheet.picture}
    size = np.ptp(parts[0].mesh.bounds, axis=0) * 1000.0
    metrics: dict[str, object] = {"views": len(drawing.views)}
    for name, value in zip(("depth", "width", "height"), size):
        metrics[name] = {"value": float(value), "unit": "mm"}
    return Model(parts, notes, metrics)


def rooms_table(plan: Plan) -> dict[str, object]:
    """For rooms.json: areas and perimeters by room, and the openings. Metres from the sheet's lower left."""
    rooms = [
        {
            "name": room.name,
            "area_m2": round(room.area_m2, 4),
            "perimeter_m": round(room.perimeter_m, 3),
            "openings": [o.name for o in plan.openings if room.name in o.rooms],
        }
        for room in plan.rooms
    ]
    openings = [
        {
            "name": o.name,
            "kind": o.kind,
            "width_m": round(o.gap.width, 3),
            "sill_m": o.sill_m,
            "head_m": o.head_m,
            "at_m": [round(value, 3) for value in o.gap.middle],
            "between": list(o.rooms),
        }
        for o in plan.openings
    ]
    return {"scale": plan.sheet.scale, "rooms": rooms, "openings": openings}


def _plan_metrics(plan: Plan) -> dict[str, object]:
    kinds = [opening.kind for opening in plan.openings]
    return {
        "rooms": len(plan.rooms),
        "floor area": {"value": sum(room.area_m2 for room in plan.rooms), "unit": "m²"},
        "wall area in the plan": {"value": float(plan.walls.area), "unit": "m²"},
        **{f"{kind}s": kinds.count(kind) for kind in ("door", "window", "passage")},
    }


def _drawn(error: OpenWalls, output_dir: str | None) -> str:
    """Where the picture of the open place lies, for the end of the message."""
    if output_dir is None or not error.gaps:
        return ""
    path = Path(output_dir) / "open_walls.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    gap_picture(error.walls, error.gaps).save(path)
    return f" (drawn in {path})"


def _facts(parts: list[Part]) -> dict[str, Any]:
    nodes = {
        part.name: {"faces": part.mesh.n_faces, "watertight": part.mesh.is_watertight, "volume_m3": part.mesh.volume}
        for part in parts
    }
    mesh = {
        "vertices": sum(part.mesh.n_vertices for part in parts),
        "faces": sum(part.mesh.n_faces for part in parts),
        "watertight": all(part.mesh.is_watertight for part in parts),
        "components": len(parts),
    }
    return {"mesh": mesh, "nodes": nodes}


def _others(model: Model) -> dict[str, dict[str, object]]:
    """The pictures beside the sheet, by what they show."""
    return cast("dict[str, dict[str, object]]", model.notes.get("elevations", {}))


def _warnings(model: Model) -> list[str]:
    said = model.notes.get("warnings", [])
    return [str(line) for line in said] if isinstance(said, list) else []


def _write(result: Result, model: Model, folder: RunFolder, clock: StageClock, rights: Rights) -> None:
    """All files of the run folder."""
    config, image = result.config, Path(result.config.input.image or "")
    origin = provenance(
        inputs={"image": {"file": image.name, "sha256": model.notes["sha256"]}, **_others(model)},
        weights={},
        seed=config.seed,
    )
    origin |= {"changes": changed} if (changed := folder.history()) else {}
    result.record = run_record(config, rights, origin, result.observations)
    write_json(folder / "provenance.json", with_record(origin, result.record))
    result.attribution = attribution_page(rights.materials, config.use)
    result.metadata = {"generator": "nerf2mesh", **model.extras}
    save_files(result, folder)
    for name, value in {**model.tables, "metrics.json": result.metrics, "mesh.json": result.facts}.items():
        write_json(folder / name, value)
    write_json(folder / "warnings.json", without_paths(result.warnings))
    with clock.stage("turntable"):
        if config.report.turntable_frames:
            write_turntable(folder / "turntable.mp4", _turntable(result), fps=config.report.turntable_fps)
    write_times(result, folder, clock)
    if config.report.html:
        write_report(folder.path, observations=result.observations, facts=result.facts, config=config.report)


def _turntable(result: Result) -> list[torch.Tensor]:
    """Pictures of the parts, turning once; of a building without its ceilings."""
    from nerf2mesh.render import rasterize_mesh

    c, shown = result.config.report, [part for part in result.parts if not part.name.startswith("ceiling_")]
    elevation = PLAN_ELEVATION_DEG if len(shown) < len(result.parts) else c.turntable_elevation_deg
    angles = 360.0 * torch.arange(c.turntable_frames) / c.turntable_frames
    cameras = Camera.orbit(angles, elevation, width_px=c.turntable_size_px)
    return list(over_grey(rasterize_mesh(_flat(shown), cameras, supersample=2, shading="lambert")))


def _flat(parts: list[Part]) -> TriangleMesh:
    """Centered, in the box of the usual cameras, with sharp edges."""
    sharp = [replace(part, mesh=faceted(part.mesh)) for part in parts]
    normals = np.concatenate([part.mesh.normals for part in sharp])
    return replace(merged(sharp), vertex_normals=normals).normalized(TURNTABLE_EXTENT)
