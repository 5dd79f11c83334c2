"""A round of refinement inside a run: what it starts from, what it is shown, and what it says of itself."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nerf2mesh.config import Config
from nerf2mesh.evaluate.metrics.images import mask_iou
from nerf2mesh.fields import HashGridField
from nerf2mesh.inputs.config import EXACT_KINDS
from nerf2mesh.optimize import LoopState, Problem
from nerf2mesh.optimize.state import check_object
from nerf2mesh.optimize.views import default_reference
from nerf2mesh.refine.config import StartConfig
from nerf2mesh.refine.round import Round, begin
from nerf2mesh.refine.start import all_around, fit_start
from nerf2mesh.render import OccupancyGrid, VolumeRenderer, rasterize_mesh
from nerf2mesh.report import Progress
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.run.placing import observe
from nerf2mesh.types import Observations, View
from nerf2mesh.utils.checkpoint import read_checkpoint, write_checkpoint

START = "checkpoints/start.safetensors"
"""The field as it was fitted to the source, which a run that goes on compares with."""
COPIES = 5
"""Of the paint-over among the views whose rays a step mixes."""
SAME_OBJECT = 0.9
"""IoU of the outlines of a checkpoint's field and of the mesh beside it from which on they are one object."""


@dataclass(frozen=True, eq=False)
class Refining:
    """A round and the field before it."""

    begun: Round
    before: HashGridField


def begin_round(config: Config, given: Observations | None = None) -> Round | None:
    """The round that `config` asks for, checked; None where the run starts from nothing. given: an input in memory.

    Raises:
        ValueError: in one line, what is wrong with it.
    """
    if config.start_from is None:
        return None
    if config.input.kind in EXACT_KINDS:
        raise ValueError(
            f"start_from: expected a picture, words or nothing beside it, got input={config.input.kind}; leave one of "
            "the two out"
        )
    if config.field.material != "emissive":
        raise ValueError(
            f"field.material: expected emissive in a round of refinement, got {config.field.material}; leave it out"
        )
    return begin(config.start_from, config.refine, steered=config.distill.weight > 0 or _has_input(config, given))


def _has_input(config: Config, given: Observations | None) -> bool:
    """Whether there is a picture beside the paint-over."""
    return given is not None or bool(config.input.image or config.input.images)


def observe_round(config: Config, begun: Round, given: Observations | None) -> Observations:
    """The paint-over and the run's own input; else the source as a picture for the prior, which is no target.

    Raises:
        ValueError: there is an input beside a region; errors of reading the input.
    """
    own = _has_input(config, given)
    if own and begun.is_bounded:
        raise ValueError(
            f"input.image: expected none beside refine.{config.refine.regions[0]}, got one; paint what is to change "
            "over a rendering (refine.paint)"
        )
    painted = () if begun.painted is None else (begun.painted,)
    if own:
        found = observe(config) if given is None else given
        return replace(found, views=(*painted, *found.views))
    shown = painted or (replace(begun.reference(default_reference(begun.config.size_px)), weight=0.0),)
    notes: dict[str, object] = {"warnings": []}
    return Observations(shown, config.input.prompt, notes, config.input.negative_prompt)


def targets(observations: Observations, begun: Round | None, *, steered: bool) -> Observations:
    """The observations with the pictures that hold what is outside the region.

    A step mixes the rays of several views in equal parts: the paint-over is there several times, or it would have one
    of these parts at the most.
    """
    if begun is None:
        return observations
    more: list[View] = []
    if begun.painted is not None:
        share = replace(begun.painted, weight=begun.painted.weight / COPIES)
        observations, more = replace(observations, views=observations.views[1:]), [share] * COPIES
    return replace(observations, views=(*more, *observations.views, *begun.held(steered)))


def start_field(
    state: LoopState, begun: Round, renderer: VolumeRenderer, config: Config, folder: RunFolder | None
) -> Refining:
    """Fits the state's field to the source, unless the state goes on from a checkpoint; the field as it then was.

    A run that was killed after the fit finds it in its folder.
    """
    resumed = state.step > 0
    field = copy.deepcopy(state.field) if resumed else state.field
    occupancy = copy.deepcopy(state.occupancy) if resumed else state.occupancy
    with_both = VolumeRenderer(renderer.config, field, occupancy) if resumed else renderer
    known = folder / START if folder else None
    if known is None or not _found(known, field, occupancy):
        _fit(begun, field, with_both, config)
        if known is not None:
            write_checkpoint(known, {"field": field.state_dict(), "occupancy": occupancy.state_dict()})
    if not resumed:
        state.remember_beginning()
    return Refining(begun, copy.deepcopy(field).requires_grad_(False))


def _found(path: Path, field: HashGridField, occupancy: OccupancyGrid) -> bool:
    """Whether field and occupancy are now those of the file; a damaged one is as good as none."""
    if not path.is_file():
        return False
    try:
        values = read_checkpoint(path)
        check_object(values, field, occupancy)
    except (ValueError, KeyError, OSError):
        return False
    field.load_state_dict(values["field"])
    occupancy.load_state_dict(values["occupancy"])
    return True


def _fit(begun: Round, field: HashGridField, renderer: VolumeRenderer, config: Config) -> None:
    """From the source's checkpoint where that shows the same object, else from the beginning."""
    start: StartConfig = begun.config.start
    if _from_checkpoint(begun, field, renderer):
        start = replace(start, point_steps=0)
    bar = Progress(start.point_steps + start.ray_steps, "start", quiet=config.report.quiet)
    with bar:
        fit_start(field, renderer, begun.source.mesh, start, seed=config.seed, progress=lambda _: bar.update())


def _from_checkpoint(begun: Round, field: HashGridField, renderer: VolumeRenderer) -> bool:
    """Whether the field is now that of the source's checkpoint: of the same settings, and of the object of its mesh."""
    path = begun.source.checkpoint
    if path is None:
        return False
    earlier = copy.deepcopy(field.state_dict()), copy.deepcopy(renderer.occupancy.state_dict())
    if _found(path, field, renderer.occupancy) and _same_object(begun, renderer):
        return True
    field.load_state_dict(earlier[0])
    renderer.occupancy.load_state_dict(earlier[1])
    return False


def _same_object(begun: Round, renderer: VolumeRenderer) -> bool:
    cameras = all_around(4, 64)
    field = renderer.render(cameras).opacity.cpu()
    mesh = rasterize_mesh(begun.source.mesh, cameras, supersample=3).opacity
    return float(mask_iou(field, mesh).mean()) > SAME_OBJECT


def bound(problem: Problem, begun: Round) -> None:
    """Distillation of the problem reaches the region alone, and the field's finest levels count from the start."""
    problem.starts_from_object = True
    if begun.is_bounded:
        renderer, grid = problem.renderer, begun.grid.to(problem.device)
        problem.steered = VolumeRenderer(renderer.config, renderer.field, renderer.occupancy)
        problem.steered.gate = grid
        if begun.change == "shape":
            renderer.occupancy.keep_open(grid)


def round_inputs(begun: Round) -> dict[str, dict[str, object]]:
    """For provenance.json: the source and the paint-over by their content."""
    source = begun.source
    rows: dict[str, dict[str, object]] = {"start_from": {"file": source.file.name, "sha256": source.sha256}}
    if begun.paint_sha256:
        rows["paint"] = {"sha256": begun.paint_sha256}
    return rows


def round_record(begun: Round, config: Config) -> dict[str, Any]:
    """For provenance.json: the parent, and all rounds that led here, oldest first."""
    source, c = begun.source, begun.config
    row = {
        "parent": source.name,
        "parent_sha256": source.sha256,
        "region": c.regions[0] if c.regions else "everything",
        "change": begun.change,
        "painted": begun.painted is not None,
        "keep_topology": c.keep_topology,
    }
    row |= {"prompt": config.input.prompt} if config.input.prompt.strip() else {}
    row |= {"adapters": len(config.lora.adapters)} if config.lora.adapters else {}
    return {"parent": {"name": source.name, "sha256": source.sha256}, "refinement": [*_earlier(source.record), row]}


def _earlier(record: dict[str, Any]) -> list[Any]:
    """The rounds that the source's own record lists."""
    people = record.get("people")
    rounds = people.get("refinement") if isinstance(people, dict) else None
    return [row for row in rounds if isinstance(row, dict)] if isinstance(rounds, list) else []
