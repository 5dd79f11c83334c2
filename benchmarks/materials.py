"""Albedo under known lights: what `field.material=lambert` takes out of a picture that an emissive field keeps.

    python -m benchmarks materials --data FOLDER --n 20 --out FILE.json    # goes on where it was stopped; --only-table
    python -m benchmarks materials --data FOLDER --time 40                 # a step's time, lambert and pbr beside it
    python -m benchmarks materials --data FOLDER --n 20 --pictures --out FILE.json    # no fits
    python -m benchmarks materials --cycles PYTHON_WITH_BPY            # five materials beside Blender's Cycles

Held-out objects of FOLDER, one picture each of azimuth 0 and elevation 20 degrees under each of LIGHTS (linear light,
no cast shadows, no highlights; exposed so that hardly a pixel is clipped). Each is fitted as emissive, lambert and pbr.
Colors are compared in eight views all around and in the given one, where truth and mesh are both there, after one
factor in linear light for each comparison (albedo and light leave it open): PSNR of the albedo, and of pictures lit
anew by UNSEEN with the mesh's own normals, whose mean angle to the true ones is "normals_deg". Hidden: the three views
from behind, mean error of CIELAB lightness and chroma of the albedo, after the same factor. Beside the fits, for the
given view alone, lit anew with the true normals: "picture", the picture taken for albedo; "outline", the picture
without the light that `field.delight=before` finds by outline and guessed normals; "unlit", without the light that is
fitted with the true normals. "of_albedo" is a fit to the picture of the albedo itself: the most that taking light out
of pictures can bring.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.cycles import compared
from benchmarks.kept import keep_rows, kept_rows
from benchmarks.lit_objects import (
    LIGHTS,
    VIEW_PX,
    Lit,
    Truth,
    hidden_error,
    light_errors,
    mesh_colors,
    novel_cameras,
    observed,
    scores,
    truth_of,
)
from nerf2mesh.api import fit, load_config
from nerf2mesh.evaluate.protocols.canonical import input_camera
from nerf2mesh.evaluate.protocols.objects import draw
from nerf2mesh.evaluate.tables.statistics import bootstrap_interval
from nerf2mesh.fields import HashGridField
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder
from nerf2mesh.optimize import GivenPixels, LoopState, Problem, delighted, lighting_in, step
from nerf2mesh.optimize.light_fit import fit_light, pairs_of
from nerf2mesh.optimize.lighting import FIT_PX
from nerf2mesh.priors import load_prior
from nerf2mesh.render import OccupancyGrid, VolumeRenderer
from nerf2mesh.render.shading import relit

MATERIALS = ("emissive", "lambert", "pbr")
OF_ALBEDO = "of_albedo"
PICTURES = ("picture", "outline", "unlit")
COMPARED = (
    ("picture", "outline"),
    ("picture", "unlit"),
    ("emissive", "lambert"),
    ("emissive", "pbr"),
    ("emissive", OF_ALBEDO),
)
MADE = (*MATERIALS, OF_ALBEDO)
MEASURED = (
    "given_albedo",
    "given_relit",
    "given_normals_deg",
    "around_albedo",
    "around_relit",
    "hidden_lightness",
    "hidden_chroma",
)
FIXED = ("mesh.texture_size=256", "mesh.bake_views=0", "report=quiet")
"""The mesh is looked at in pictures of VIEW_PX only."""


def measured(
    folder: ObjectFolder, entry: ObjectEntry, name: str, material: str, overrides: Sequence[str]
) -> dict[str, object]:
    """The figures of one fit, or of the given picture itself where `material` is one of PICTURES."""
    camera = input_camera()
    given, light = truth_of(folder, entry, camera[None], LIGHTS[name]), LIGHTS[name]
    true = truth_of(folder, entry, camera[None])
    if material in PICTURES:
        return by_outline(given, true) if material == "outline" else of_picture(given, true, light, material)
    began = time.process_time()
    seen, kind = observed(given), "emissive"
    if material == OF_ALBEDO:
        seen = observed(true)
    elif material in MATERIALS:
        kind = material
    result = fit(observations=seen, overrides=[*FIXED, f"field.material={kind}", *overrides])
    row: dict[str, object] = {"cpu_seconds": time.process_time() - began}
    small = camera[None].resized(VIEW_PX, VIEW_PX)
    near, around = mesh_colors(result, small), mesh_colors(result, novel_cameras())
    true_near, true_around = truth_of(folder, entry, small), truth_of(folder, entry, novel_cameras())
    row |= {f"given_{key}": value for key, value in scores(near, true_near).items()}
    row |= {f"around_{key}": value for key, value in scores(around, true_around).items()}
    row |= {f"hidden_{key}": value for key, value in hidden_error(around, true_around).items()}
    return row | ({} if result.light is None else light_errors(result.light, light, true_near))


def by_outline(given: Truth, true: Truth) -> dict[str, object]:
    """The figures of the given picture without the light that its outline and its colors tell."""
    began = time.process_time()
    seen, _ = delighted(observed(given), "directional")
    seconds = time.process_time() - began
    bare = replace(given, albedo=seen.views[0].image[None, ..., :3])
    row: dict[str, object] = {f"given_{key}": value for key, value in scores(bare, true).items()}
    return row | {"cpu_seconds": seconds}


def of_picture(given: Truth, true: Truth, light: Lit, material: str) -> dict[str, object]:
    """The figures of the given picture as it is, or without the light that is fitted with the true normals."""
    kind = "directional" if material == "unlit" else "constant"
    shrunk = [
        area(x[0]) for x in (given.albedo * given.covered[..., None], true.normal, given.covered[..., None] * 1.0)
    ]
    rgb, normal, alpha = shrunk[0] / shrunk[2].clamp_min(1e-6), shrunk[1], shrunk[2][..., 0]
    found = fit_light(kind, pairs_of(rgb, F.normalize(normal, dim=-1), alpha > 0.95))
    bare = replace(given, albedo=relit(given.albedo.double(), 1.0 / found.irradiance(given.normal.double())).float())
    row: dict[str, object] = {f"given_{key}": value for key, value in scores(bare, true).items()}
    return row | light_errors(found, light, true)


def area(image: Tensor) -> Tensor:
    """[h, w, c] at FIT_PX."""
    return F.interpolate(image.movedim(-1, 0)[None], (FIT_PX, FIT_PX), mode="area")[0].movedim(0, -1)


def step_times(overrides: Sequence[str], folder: ObjectFolder, entry: ObjectEntry, n: int) -> dict[str, float]:
    """Mean processor seconds of a step of each material, by turns in one process, without the first one, in which the
    light is fitted; of a fit of the light; and the ratio of the steps with the light's share."""
    given = truth_of(folder, entry, input_camera()[None], LIGHTS["lamp"])
    seen, runs = observed(given), []
    for material in MATERIALS:
        delight = ["field.delight=along"] if material == "lambert" else []
        config = load_config([f"field.material={material}", *delight, *overrides])
        prior = load_prior(config.prior, "cpu")
        field = HashGridField(config.field, torch.Generator().manual_seed(0)).train()
        occupancy = OccupancyGrid(config.renderer.occupancy_resolution)
        o = replace(config.optimize, light_from=0.0, light_every=max(n, config.optimize.light_every))
        state = LoopState.fresh(field, occupancy, o.lr_encoding, o.lr_network, 0)
        renderer, pixels = VolumeRenderer(config.renderer, field, occupancy), GivenPixels(seen, torch.device("cpu"))
        problem = Problem(
            observations=seen, prior=prior, condition=prior.condition(seen), renderer=renderer, pixels=pixels,
            config=o, distill=config.distill,
        )  # fmt: skip
        runs.append((state, problem, []))
    for _ in range(n):
        for state, problem, seconds in runs:
            began = time.process_time()
            step(state, problem)
            seconds.append(time.process_time() - began)
    found = {name: float(np.mean(run[2][1:])) for name, run in zip(MATERIALS, runs, strict=True)}
    state, problem, _ = runs[1]
    lighting, began = lighting_in(state), time.process_time()
    assert lighting is not None
    lighting.fit(problem.renderer, state.field)
    fit_seconds = time.process_time() - began
    whole = found["lambert"] + fit_seconds / load_config(overrides).optimize.light_every
    ratios = {"ratio": whole / found["emissive"], "ratio_pbr": found["pbr"] / found["emissive"]}
    return found | {"light_fit": fit_seconds, **ratios}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs all, prints a line for each and the means with paired gains, and writes them as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks materials", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--cycles", metavar="PYTHON", help="only compare five materials with Cycles, by this Python")
    parser.add_argument("--data", help="folder of meshes with a manifest.jsonl")
    parser.add_argument("--n", type=int, default=20, help="held-out objects")
    parser.add_argument("--first", type=int, default=0, help="of the draw, to skip")
    parser.add_argument("--lights", nargs="*", choices=list(LIGHTS), default=list(LIGHTS), help="of the pictures")
    parser.add_argument("--kinds", nargs="*", choices=MADE, default=list(MADE), help="of fits")
    parser.add_argument("--overrides", nargs="*", default=["preset=preview"], help="settings of the runs")
    parser.add_argument("--pictures", action="store_true", help="only what needs no fit")
    parser.add_argument("--seconds", type=float, default=1e9, help="start no fit after so many, to go on later")
    parser.add_argument("--time", type=int, default=0, help="only measure so many steps of each material")
    parser.add_argument("--out", type=Path, help="JSON file for the figures, written after every fit")
    parser.add_argument("--only-table", action="store_true", help="of what is in --out already")
    asked = parser.parse_args(argv)
    if asked.cycles:
        print(json.dumps(compared(asked.cycles)))
        return 0
    if not asked.data:
        parser.error("--data: expected the folder of meshes, got nothing; set it")
    folder = ObjectFolder(asked.data)
    entries = list(draw(folder.split("heldout"), 0))[asked.first : asked.first + asked.n]
    if asked.time:
        print(json.dumps(step_times(asked.overrides, folder, entries[0], asked.time)))
        return 0
    settings = {"overrides": asked.overrides}
    rows = kept_rows(asked.out, settings)
    began = time.perf_counter()
    kinds = PICTURES if asked.pictures else asked.kinds
    todo = [(entry, light, kind) for light in asked.lights for entry in entries for kind in kinds]
    for entry, light, material in [] if asked.only_table else todo:
        about = {"object": entry.path.name, "light": light, "material": material}
        if any(about.items() <= row["about"].items() for row in rows):  # pyright: ignore[reportAttributeAccessIssue]
            continue
        if time.perf_counter() - began > asked.seconds:
            break
        rows.append({"about": about, **measured(folder, entry, light, material, asked.overrides)})
        print(json.dumps(rows[-1]), flush=True)
        keep_rows(asked.out, settings, rows)
    print("\n".join(summary(rows)))
    return 0


def summary(rows: Sequence[dict[str, object]]) -> list[str]:
    """Means over the (object, light) pairs that both of two methods have, and the paired gains of the second, with 95 %
    intervals over the objects (the mean of each: its pictures under several lights are no independent ones)."""
    by: dict[str, dict[tuple[str, str], dict]] = {}
    for row in rows:
        about = row["about"]
        assert isinstance(about, dict)
        by.setdefault(about["material"], {})[about["object"], about["light"]] = row
    lines = []
    for one, two in COMPARED:
        whole = [key for key in by.get(one, {}) if key in by.get(two, {})]
        if not whole:
            continue
        names = np.array([name for name, _ in whole])
        lines.append(f"{one} and {two}: {len(set(names))} objects, {len(whole)} pictures")
        for key in [k for k in MEASURED if k in by[one][whole[0]] and k in by[two][whole[0]]]:
            before, after = (np.array([by[m][w][key] for w in whole]) for m in (one, two))
            gain = after - before
            low, high = bootstrap_interval([gain[names == name].mean() for name in sorted(set(names))])
            lines.append(
                f"  {key:17s} {before.mean():.3f}  {after.mean():.3f}  {gain.mean():+.3f} ({low:+.3f} to {high:+.3f})"
            )
        if "light_error" in by[two][whole[0]]:
            errors = [np.mean([by[two][w][k] for w in whole]) for k in ("light_error", "even_light_error")]
            lines.append(
                f"  log irradiance, standard deviation of the error {errors[0]:.4f}, of an even light {errors[1]:.4f}"
            )
    return lines
