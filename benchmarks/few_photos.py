"""Two to four photographs without poses: how far off the azimuths are that the prior finds.

    python -m benchmarks few_photos --objects FOLDER --n 16 --views 2 --out FILE.json

The first objects of the draw of protocol `objects`, held out, are rendered from the front, give or take 10 degrees, and
from random other sides at least 30 degrees apart, at elevations of 0 to 25 degrees, 256 px with alpha, and written as
PNG files. `input=photos` reads them with its defaults (elevation 10 for all) and the built-in prior places them. Errors
are those of the azimuths relative to the first photograph. With the user's word (`input.azimuths_deg`) the cameras are
read back from the views.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nerf2mesh.evaluate.protocols.canonical import canonical_frame
from nerf2mesh.evaluate.protocols.objects import draw, lit_mesh
from nerf2mesh.inputs import InputConfig, load_observations, load_unplaced
from nerf2mesh.objects.folder import ObjectFolder
from nerf2mesh.priors.builtin.placement import placed_views
from nerf2mesh.priors.builtin.prior import BuiltinPrior
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera

APART_DEG = 30.0
LEVELS_DEG = (7.5, 15.0, 22.5, 45.0, 90.0, 135.0, 180.1)


def cameras(rng: np.random.Generator, n: int) -> Camera:
    """n cameras, [n]: the first near the front, all at least APART_DEG apart."""
    azimuths = [10.0 * float(rng.uniform(-1, 1))]
    while len(azimuths) < n:
        one = float(rng.uniform(-180, 180))
        if min(difference(one, other) for other in azimuths) >= APART_DEG:
            azimuths.append(one)
    return Camera.orbit(torch.tensor(azimuths), torch.from_numpy(rng.uniform(0, 25, n)).float(), width_px=256)


def difference(a: float, b: float) -> float:
    """Between two azimuths, 0 to 180 degrees."""
    return abs((a - b + 180.0) % 360.0 - 180.0)


def write_photographs(folder: Path, rgba: torch.Tensor) -> list[str]:
    """PNG files with alpha of premultiplied pictures [n, s, s, 4]."""
    names = []
    for k, image in enumerate(rgba):
        straight = torch.cat([image[..., :3] / image[..., 3:].clamp_min(1e-6), image[..., 3:]], dim=-1)
        names.append(str(folder / f"{k}.png"))
        Image.fromarray((straight.clamp(0, 1) * 255).round().byte().numpy()).save(names[-1])
    return names


def measured(prior: BuiltinPrior, files: list[str], true: Camera) -> dict[str, object]:
    """Azimuth errors in degrees of the second and further photographs, found and told, and the confidence."""
    start = time.process_time()
    placement = placed_views(prior, load_unplaced(InputConfig(kind="photos", images=files)).views)
    azimuths = true.azimuth_deg.tolist()
    relative = [azimuth - azimuths[0] for azimuth in azimuths[1:]]
    told = load_observations(InputConfig(kind="photos", images=files, azimuths_deg=[0.0, *_wrapped(relative)]))
    word = [float(view.camera.azimuth_deg) for view in told.views[1:]]
    return {
        "errors_deg": [difference(a, b) for a, b in zip(placement.azimuths_deg[1:], relative, strict=True)],
        "told_errors_deg": [difference(a, b) for a, b in zip(word, relative, strict=True)],
        "confidence": placement.confidence,
        "cpu_seconds": time.process_time() - start,
    }


def _wrapped(angles: list[float]) -> list[float]:
    return [(angle + 180.0) % 360.0 - 180.0 for angle in angles]


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each object and the distribution of the errors, and writes them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks few_photos", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--objects", type=Path, required=True, help="folder of meshes with a manifest.jsonl")
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--views", type=int, nargs="+", choices=[2, 3, 4, 5], default=[2, 3, 4])
    parser.add_argument("--out", type=Path, help="JSON file for the figures, written after every object")
    asked = parser.parse_args(argv)
    folder, prior = ObjectFolder(asked.objects), BuiltinPrior.load(PriorConfig())
    rows: list[dict] = []
    for n in asked.views:
        for number, entry in enumerate(list(draw(folder.split("heldout"), 0))[: asked.n]):
            true = cameras(np.random.default_rng([number, n, 5]), n)
            mesh = canonical_frame(lit_mesh(folder.read(entry), entry.path.name))
            with tempfile.TemporaryDirectory() as place:
                files = write_photographs(Path(place), rasterize_mesh(mesh, true, supersample=2).rgba)
                rows.append({"object": entry.path.stem, "kind": entry.kind, "views": n, **measured(prior, files, true)})
            shown = ", ".join(f"{error:.0f}" for error in rows[-1]["errors_deg"])
            print(f"{n} views  {entry.path.stem}  {entry.kind}  {shown} deg  {rows[-1]['confidence']:.2f}", flush=True)
            if asked.out:
                asked.out.write_text(json.dumps({"rows": rows}, indent=1), encoding="utf-8")
        print(summary([row for row in rows if row["views"] == n]), flush=True)
    return 0


def summary(rows: Sequence[dict]) -> str:
    """The distribution of the azimuth errors of some rows."""
    errors = np.concatenate([row["errors_deg"] for row in rows])
    told = np.concatenate([row["told_errors_deg"] for row in rows])
    below = "  ".join(f"<= {level:g}: {float((errors <= level).mean()):.0%}" for level in LEVELS_DEG[:-1])
    worst = sorted(rows, key=lambda row: row["confidence"])
    halves = [np.concatenate([row["errors_deg"] for row in part]) for part in (worst[len(rows) // 2 :], rows)]
    return (
        f"{rows[0]['views']} views, {len(rows)} objects, {len(errors)} azimuths: median {np.median(errors):.1f} deg, "
        f"{below}; the surer half {np.median(halves[0]):.1f} deg; mean confidence "
        f"{np.mean([row['confidence'] for row in rows]):.2f}; told: at most {told.max():.4f} deg; "
        f"{np.mean([row['cpu_seconds'] for row in rows]):.1f} s of one core an object"
    )
