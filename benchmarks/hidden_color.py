"""Color of hidden sides before and after `mesh.palette`: what the guesses' mean colors lose, and what comes back.

    python -m benchmarks hidden_color --data FOLDER --n 64 --out FILE.json    # goes on; --only-table

Held-out objects of FOLDER, one picture each of azimuth 0 and elevation 20 degrees, by turns as it is and under one of
`lit_objects.LIGHTS`. Each is fitted once without the palette; the mesh is then painted from the picture as `fit` does,
with and without it. Figures: mean error of CIELAB lightness and chroma (the distance in a and b) of the three views
from behind, after one factor in linear light over all eight, against the true albedo; and the albedo's PSNR there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.kept import keep_rows, kept_rows
from benchmarks.lit_objects import BEHIND, LIGHTS, colors_of, hidden_error, novel_cameras, observed, psnr, truth_of
from nerf2mesh.api import fit
from nerf2mesh.evaluate.protocols.canonical import input_camera
from nerf2mesh.evaluate.protocols.objects import draw
from nerf2mesh.evaluate.tables.statistics import bootstrap_interval
from nerf2mesh.mesh.config import MeshConfig
from nerf2mesh.mesh.texture.given_views import paint_given_views
from nerf2mesh.mesh.texture.palette import toward_palette
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder

FIXED = ("mesh.texture_size=256", "mesh.bake_views=0", "mesh.given_views=false", "mesh.palette=0", "report=quiet")
SEEN = ("as it is", *LIGHTS)


def measured(
    folder: ObjectFolder, entry: ObjectEntry, light: str, spread: float, overrides: Sequence[str]
) -> dict[str, dict[str, float]]:
    """The figures of one object without ("before") and with the palette ("after")."""
    given = truth_of(folder, entry, input_camera()[None], LIGHTS.get(light))
    seen = observed(given)
    true = truth_of(folder, entry, novel_cameras())
    bare = fit(observations=seen, overrides=[*FIXED, *overrides]).mesh
    assert bare is not None
    row = {}
    for name, mesh in (("before", bare), ("after", toward_palette(bare, seen.views, spread))):
        found = colors_of(paint_given_views(mesh, seen.views)[0], novel_cameras())
        both = (found.covered & true.covered)[BEHIND]
        albedo = psnr(found.albedo[BEHIND][both], true.albedo[BEHIND][both])
        row[name] = {**hidden_error(found, true), "psnr": albedo}
    return row


def summary(rows: Sequence[dict[str, dict[str, float]]]) -> list[str]:
    """Means before and after, and the paired difference with its 95 % interval over the objects."""
    lines = [f"{len(rows)} objects"]
    for key in ("lightness", "chroma", "psnr") if rows else ():
        before, after = (np.array([row[name][key] for row in rows]) for name in ("before", "after"))
        low, high = bootstrap_interval(list(after - before))
        share = 100.0 * (after.mean() / before.mean() - 1.0)
        lines.append(
            f"  {key:9s} {before.mean():.3f}  {after.mean():.3f}  {(after - before).mean():+.3f} ({low:+.3f} to "
            f"{high:+.3f}), {share:+.1f} %; lower on {int((after < before).sum())}"
        )
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Runs all, prints a line for each and the means, and writes them as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks hidden_color", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--data", required=True, help="folder of meshes with a manifest.jsonl")
    parser.add_argument("--n", type=int, default=64, help="held-out objects")
    parser.add_argument("--first", type=int, default=0, help="of the draw, to skip")
    parser.add_argument("--spread", type=float, default=MeshConfig().palette, help="mesh.palette")
    parser.add_argument("--overrides", nargs="*", default=["preset=instant"], help="settings of the runs")
    parser.add_argument("--seconds", type=float, default=1e9, help="start no fit after so many, to go on later")
    parser.add_argument("--out", type=Path, help="JSON file for the figures, written after every fit")
    parser.add_argument("--only-table", action="store_true", help="of what is in --out already")
    asked = parser.parse_args(argv)
    folder = ObjectFolder(asked.data)
    entries = list(draw(folder.split("heldout"), 0))[asked.first : asked.first + asked.n]
    settings = {"overrides": asked.overrides, "spread": asked.spread}
    rows = kept_rows(asked.out, settings)
    known = {row["object"] for row in rows}
    began = time.perf_counter()
    for number, entry in enumerate([] if asked.only_table else entries):
        if entry.path.name in known or time.perf_counter() - began > asked.seconds:
            continue
        light = SEEN[number % len(SEEN)]
        row = measured(folder, entry, light, asked.spread, asked.overrides)
        rows.append({"object": entry.path.name, "light": light, **row})
        print(json.dumps(rows[-1]), flush=True)
        keep_rows(asked.out, settings, rows)
    print("\n".join(summary(rows)))  # pyright: ignore[reportArgumentType]
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
