"""What a finished optimization leaves behind: mesh, turntable, metrics, provenance, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from nerf2mesh.config import Config
from nerf2mesh.inputs.config import DRAWINGS
from nerf2mesh.lora.io.files import located
from nerf2mesh.mesh import TriangleMesh, extract_lods
from nerf2mesh.mesh.extract.calibrate import view_ring
from nerf2mesh.mesh.texture.given_normals import with_given_normals
from nerf2mesh.mesh.texture.given_views import paint_given_views, pixel_width, reduced
from nerf2mesh.mesh.texture.palette import toward_palette
from nerf2mesh.mesh.texture.smooth_colors import smooth_colors
from nerf2mesh.mesh.texture.unwrap import BOXES, NOT_ASKED
from nerf2mesh.optimize import guessed_normals
from nerf2mesh.optimize.lighting import MOST_VIEWS
from nerf2mesh.optimize.views import default_reference
from nerf2mesh.priors import Prior
from nerf2mesh.refine.compose import make_mesh
from nerf2mesh.refine.measure import round_metrics
from nerf2mesh.refine.round import Round
from nerf2mesh.render.relight import environment, relight_mesh
from nerf2mesh.report import Progress, StageClock, cost_metrics, provenance, write_json, write_report, write_turntable
from nerf2mesh.run.confidence import save_guesses, spread_everywhere
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.run.lit import light_of_views, lit_mesh, without_light
from nerf2mesh.run.moving import set_in_motion
from nerf2mesh.run.pictures import over_grey
from nerf2mesh.run.record import with_record
from nerf2mesh.run.refining import Refining, round_inputs, round_record
from nerf2mesh.run.result import Result
from nerf2mesh.run.rigging import rigged
from nerf2mesh.run.warned import warn
from nerf2mesh.types import DEFAULT_DISTANCE, Camera, Observations, Rendering, View
from nerf2mesh.utils.atomic_write import atomic_write_text
from nerf2mesh.utils.without_paths import without_paths

METRIC_PX = 256
"""The given view is compared at about this size."""
MAX_LOSS = 0.05
"""Share of the silhouettes that a mesh may lose without a warning."""


def made_from(
    config: Config,
    observations: Observations,
    priors: dict[str, Prior],
    folder: RunFolder | None,
    begun: Round | None = None,
) -> dict[str, object]:
    """For provenance.json: what the run is made from, and that the folder's run is made from the same.

    Asked for before the first step: what fails here would otherwise lose the optimization, and a file that changes
    during the run is noted as it was read. priors: by their names in provenance.json; the one that steers is "prior".

    Raises:
        ValueError: the run in the folder was made with other weights.
    """
    abouts = {name: prior.about() for name, prior in priors.items()}
    if folder is not None:
        folder.settle(config, abouts)
    adapters = {f"lora/{i}": str(located(Path(p).expanduser())) for i, p in enumerate(config.lora.adapters)}
    inputs = {**({} if begun is None else round_inputs(begun)), **_inputs(config, observations)}
    record = provenance(inputs=inputs, weights={**abouts, **adapters}, seed=config.seed)
    record |= {} if begun is None else round_record(begun, config)
    return record | ({"changes": changed} if folder is not None and (changed := folder.history()) else {})


def _inputs(config: Config, observations: Observations) -> dict[str, str | Mapping[str, object]]:
    """The picture with the hash of the bytes that were read, and its maps; of photographs also how their cameras were
    found."""
    if config.input.kind == "photos" and "photos" in observations.notes:
        about = cast(Mapping[str, object], observations.notes["photos"])
        return {"photographs": {"sha256": observations.notes["sha256"], **about}}
    named = {"depth": config.input.depth, "normal": config.input.normal}
    maps: dict[str, str | Mapping[str, object]] = {name: path for name, path in named.items() if path}
    if not config.input.image:
        return maps
    path, digest = Path(config.input.image), observations.notes.get("sha256")
    if digest is None:
        return {"image": str(path), **maps}
    guessed = {"viewpoint": notes["viewpoint"]} if "viewpoint" in (notes := observations.notes) else {}
    return {"image": {"file": path.name, "sha256": digest, **guessed}, **maps}


def finish(
    result: Result,
    prior: Prior,
    origin: dict[str, object],
    folder: RunFolder | None,
    clock: StageClock,
    refining: Refining | None = None,
) -> None:
    """Fills in the result's mesh, facts and metrics, and writes everything into the run folder.

    prior: the one that steered. origin: from `made_from`. refining: the round that this run is, if it is one.
    """
    config = result.config
    with clock.stage("mesh"):
        lost = _make_mesh(result, prior) if refining is None else _make_round(result, refining)
    if refining is None and result.observations.clip is not None:
        with clock.stage("motion"):
            lost += set_in_motion(result, prior)
    lost += rigged(result)
    result.warnings += warn([*lost, *other_charts(result.facts)])
    if folder is not None:  # before all that only describes them
        write_json(folder / "provenance.json", with_record(origin, result.record))
        save_files(result, folder)
    with clock.stage("measure"):
        result.metrics |= reference_metrics(result)
        if refining is not None and result.mesh is not None:
            result.metrics |= round_metrics(refining.begun, result.mesh)
    if folder is None:
        return
    write_json(folder / "metrics.json", measures(result))
    save_guesses(result.spread, folder.path, result.record)
    write_json(folder / "mesh.json", result.facts)
    write_json(folder / "warnings.json", without_paths(result.warnings))
    with clock.stage("turntable"):
        if config.report.turntable_frames:
            write_turntable(folder / "turntable.mp4", _turntable(result), fps=config.report.turntable_fps)
    write_times(result, folder, clock)
    if config.report.html:
        write_report(folder.path, observations=result.observations, facts=result.facts, config=config.report)


def write_times(result: Result, folder: RunFolder, clock: StageClock) -> None:
    """timings.json and, where energy was metered, cost.json with its totals in metrics.json: of this start of the run
    alone, up to here (the report is left out)."""
    write_json(folder / "timings.json", clock.to_dict())
    if clock.ledger is not None:
        cost = clock.ledger.to_dict(result.config.report.price_per_hour, result.config.report.currency)
        write_json(folder / "cost.json", cost)
        write_json(folder / "metrics.json", {**measures(result), **cost_metrics(cost)})


def measures(result: Result) -> dict[str, object]:
    """The result's metrics and, of the prior's spread, the figures of each direction."""
    return {**result.metrics, **spread_everywhere(result.spread, result.observations)}


def save_files(result: Result, folder: RunFolder) -> None:
    """mesh.glb, without which there is no result, ATTRIBUTION.md, then the other formats, whose failures are noted."""
    result.save(folder.path)
    atomic_write_text(folder / "ATTRIBUTION.md", result.attribution)
    others = [name for name in dict.fromkeys(result.config.mesh.formats) if name != "glb"]
    try:
        if others:
            result.save(folder.path, others)
    except ValueError as error:
        result.failures.append(str(error))
        result.warnings += warn([str(error)])


def _make_mesh(result: Result, prior: Prior) -> list[str]:
    """Fills in mesh, coarser meshes and facts; what was lost, one line each."""
    renderer, config = result.renderer, result.config
    assert renderer is not None and result.field is not None
    renderer.occupancy.bake_full(result.field, threshold=config.renderer.density_threshold)
    bar = Progress(None, "mesh", quiet=config.report.quiet, unit="stage")
    with bar:
        (result.mesh, *result.lods), result.facts = extract_lods(
            result.field, renderer.occupancy, renderer, config.mesh, lambda stage, _: bar.update(0, stage=stage)
        )
        bar.update(0, stage="colors")
        result.facts |= _finish_colors(result, prior)
    return mesh_losses(result)


def _make_round(result: Result, refining: Refining) -> list[str]:
    """`_make_mesh` of a round of refinement."""
    renderer, config = result.renderer, result.config
    assert renderer is not None and result.field is not None
    renderer.occupancy.keep_open(None)
    renderer.occupancy.bake_full(result.field, threshold=config.renderer.density_threshold)
    bar = Progress(None, "mesh", quiet=config.report.quiet, unit="stage")
    with bar:
        made = make_mesh(
            refining.begun,
            result.field,
            renderer,
            refining.before,
            config.mesh,
            lambda stage, _: bar.update(0, stage=stage),
        )
    result.mesh, result.lods, result.facts = made.mesh, made.lods, made.facts
    result.placement = refining.begun.source.placement
    return mesh_losses(result) if "repair" in result.facts and "bake" in result.facts else []


@torch.no_grad()
def mesh_losses(result: Result) -> list[str]:
    """What the mesh has lost of the field, one line each: another threshold, dropped pieces, other silhouettes."""
    said, repair, baked = [], result.facts["repair"], result.facts.get("bake", {})
    if "instead_of" in (level := result.facts.get("threshold", {})):
        said.append(
            f"mesh.threshold: expected a surface at density {level['instead_of']:.3g}, got none; it was taken at "
            f"{level['density']:.3g}, where the silhouettes fit best"
        )
    if repair["dropped_share"] > MAX_LOSS:
        dropped = repair["found"] - repair["cavities"] - repair["kept"]
        said.append(
            f"{dropped} pieces with {repair['dropped_share']:.0%} of the mesh's silhouette were dropped; "
            "mesh.keep_components=0 with a lower mesh.min_component_share keeps them"
        )
    iou = baked["mask_iou"] if "mask_iou" in baked else _silhouette_iou(result)
    if not iou >= 1.0 - MAX_LOSS:
        said.append(
            f"the mesh's silhouettes and the field's disagree by {1.0 - iou:.0%} (IoU {iou:.2f}): parts were lost or "
            "thickened; raise mesh.resolution, or optimize longer for a firmer surface"
        )
    return said


def other_charts(facts: Mapping[str, Any]) -> list[str]:
    """One line where xatlas was to unwrap the mesh (or a level of detail) and did not: it is not the usual mesh."""
    unwrapped = [level.get("unwrap") or {} for level in (facts, *facts.get("lods", ()))]
    reasons = [made["reason"] for made in unwrapped if made.get("method") == BOXES and made["reason"] != NOT_ASKED]
    if not reasons:
        return []
    return [
        f"{reasons[0]}; the texture's charts were made by box projection instead, so that this is not the mesh which "
        "xatlas gives; the same command makes it again (a slow xatlas needs a higher mesh.unwrap_time_limit_s)"
    ]


def _silhouette_iou(result: Result) -> float:
    """Mean over a ring of views of the IoU between mesh and field, both at least half opaque."""
    from nerf2mesh.render import rasterize_mesh

    cameras = view_ring(8, result.config.mesh.calibration_size_px)
    assert result.renderer is not None
    field = torch.stack([result.renderer.render(cameras[k]).opacity.cpu() for k in range(8)]) > 0.5
    mesh = rasterize_mesh(result.mesh, cameras, smooth=False).opacity > 0.5
    both, either = (field & mesh).sum((1, 2)), (field | mesh).sum((1, 2))
    return float((both / either.clamp_min(1)).mean())


def _finish_colors(result: Result, prior: Prior) -> dict[str, object]:
    """Softens what the prior cannot have meant, then puts the given pictures' colors where these show the surface."""
    config, given, radius = result.config, result.observations.views, result.config.mesh.color_radius
    if radius is None:
        radius = 0.5 * _steered_pixel(given, config.distill.side_px(prior)) if config.distill.weight > 0 else 0.0
    shown = config.mesh.given_views and config.optimize.weight_color > 0
    views = [view for view in given if shown and view.weight > 0 and view.domain not in DRAWINGS]
    facts: dict[str, object] = {"color_radius": radius}
    if result.light is not None:
        facts["light"] = result.light.to_dict()
    if config.field.material == "pbr":
        facts["finishes"] = [finish.to_dict() for finish in result.finishes.found]
    meshes = [result.mesh, *result.lods]
    if radius > 0:
        meshes = [smooth_colors(mesh, radius) for mesh in meshes]
    light = light_of_views(result)
    if light is None and config.mesh.palette > 0:
        meshes = [toward_palette(mesh, views, config.mesh.palette) for mesh in meshes]
    if views:
        unlight = None if light is None else without_light(light)
        meshes, shares = zip(*(paint_given_views(mesh, views, unlight) for mesh in meshes))
        facts["given_views"] = shares[0]
    result.mesh, *result.lods = _with_normals(result, meshes)
    return facts


def _with_normals(result: Result, meshes: Sequence[TriangleMesh]) -> Sequence[TriangleMesh]:
    """The meshes with the shading normals that the given pictures tell; see `mesh.given_normals`."""
    views = [view for view in result.lit_views if view.weight > 0 and view.domain not in DRAWINGS]
    config = result.config
    if config.field.material == "emissive" or not (config.mesh.given_normals and config.mesh.given_views and views):
        return meshes
    small = [reduced(view, METRIC_PX**2) for view in views[:MOST_VIEWS]]
    normals = [guessed_normals(view) for view in small]
    return [with_given_normals(mesh, small, normals) for mesh in meshes]


def _steered_pixel(given: tuple[View, ...], side_px: int) -> float:
    """World units that a pixel of the distillation's views covers at the object's middle."""
    camera = given[0].camera if given else default_reference()
    return float(pixel_width(camera.resized(side_px, side_px), camera.position.norm().numpy()))


@torch.no_grad()
def reference_metrics(result: Result) -> dict[str, object]:
    """How well the field and the mesh show the given view, if there is one: PSNR in front of white, and the field's
    mask IoU."""
    from nerf2mesh.evaluate.metrics.images import mask_iou, psnr
    from nerf2mesh.render import rasterize_mesh

    if not result.observations.views:
        return {}
    view = reduced(result.observations.views[0], METRIC_PX**2)
    assert result.renderer is not None
    light = light_of_views(result)
    rendering = result.render(view.camera) if light is None else result.lit(view.camera, light)
    alpha = view.image[..., 3]
    wanted = view.image[..., :3] * alpha[..., None] + (1 - alpha[..., None])

    def decibels(shown: Rendering) -> dict[str, object]:
        return {"value": float(psnr(shown.over(1.0).cpu()[None], wanted[None])), "better": "higher", "unit": "dB"}

    shown = lit_mesh(rasterize_mesh(result.mesh, view.camera.to("cpu"), supersample=2), light)
    return {
        "input view PSNR": decibels(rendering),
        "input view PSNR, mesh": decibels(shown),
        "input view mask IoU": {
            "value": float(mask_iou(rendering.opacity.cpu()[None], alpha[None])),
            "better": "higher",
        },
    }


def _turntable(result: Result) -> list[Tensor]:
    """Pictures of the mesh, turning once."""
    from nerf2mesh.render import rasterize_mesh

    c, views = result.config.report, result.observations.views
    distance = float(views[0].camera.position.norm()) if views else DEFAULT_DISTANCE
    angles = 360.0 * torch.arange(c.turntable_frames) / c.turntable_frames
    cameras = Camera.orbit(angles, c.turntable_elevation_deg, distance=distance, width_px=c.turntable_size_px)
    if c.turntable_light == "camera":
        return list(over_grey(rasterize_mesh(result.mesh, cameras, supersample=2, shading="lambert")))
    around = environment(c.turntable_light)
    return [over_grey(relight_mesh(result.mesh, cameras[k], around)) for k in range(c.turntable_frames)]
