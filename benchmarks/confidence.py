"""Does the spread of the prior's guesses say where they are wrong?

    python -m benchmarks confidence --data FOLDER --n 48 --out FILE.json

Objects, picture and camera are those of protocol `objects` (docs/objects-protocol.md), of one split. In each direction
of the map of `report.confidence` the mean of the guesses is compared with the true mesh, drawn by the same camera at
the prior's size. Errors are root mean squares: of premultiplied color and of opacity, summed over the picture and
divided by the true silhouette's area, as the spread is; both together (total); and of the color itself where truth and
mean are at least half opaque (surface).

Rank correlations (Spearman) of the error with the spread, and with rivals that need no second guess: the angle between
the direction and the given view, its sine (from behind the silhouette is the front's), and how half open the mean is.
Within each object over its directions (mean over objects, 95 % interval over objects), over all directions of all
objects together, and of the objects' means. Besides, CIELAB chroma of the surfaces that the given view does not show,
of the truth, of single guesses, and of their mean, which would be smaller where guesses of different hue average to
grey. The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from benchmarks.kept import Row, keep_rows, kept_rows
from nerf2mesh.evaluate.metrics.regions import cielab
from nerf2mesh.evaluate.metrics.visibility import seen_pixels
from nerf2mesh.evaluate.protocols.canonical import input_camera
from nerf2mesh.evaluate.protocols.objects import SETTINGS, drawn_names, object_mesh
from nerf2mesh.evaluate.protocols.scoring import picture, render_views
from nerf2mesh.evaluate.tables.statistics import bootstrap_interval
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.optimize.confidence import AZIMUTHS, ELEVATIONS, grid_cameras, guesses_of, spread_of
from nerf2mesh.optimize.confidence import GUESSES as K
from nerf2mesh.priors.base import Prior
from nerf2mesh.priors.builtin.prior import BuiltinPrior
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera, Observations, View

ELEVATION_DEG = (-15.0, 55.0)
KINDS = ("color", "opacity", "total", "surface")
RIVALS = {"angle": "angle_deg", "sine": "sine", "half open": "half_open"}
"""What needs no second guess, and the row's value."""


@torch.no_grad()
def measured(prior: Prior, mesh: TriangleMesh) -> Row:
    """Angle, spread and error of each direction, and chroma of the hidden surfaces, of one object."""
    given, began = input_camera(), time.process_time()
    image = picture(render_views(mesh, given, SETTINGS))
    condition = prior.condition(Observations((View(image, given),)))
    azimuth = torch.arange(AZIMUTHS) * (360.0 / AZIMUTHS)
    cameras = grid_cameras(torch.linspace(*ELEVATION_DEG, ELEVATIONS), azimuth, given, prior.image_size)
    n = cameras.batch_shape[1]
    spread, guesses = torch.empty(2, n), torch.empty(K, n, prior.image_size, prior.image_size, 4)
    for which, found in guesses_of(prior, condition, cameras, 1.0, 0):
        spread[:, which], guesses[:, which] = torch.stack(spread_of(found)), found
    seconds = time.process_time() - began
    true = rasterize_mesh(mesh, cameras[0], supersample=2).rgba
    mean = guesses.mean(0)
    found = [*errors(mean, true), surface_difference(mean[None], true, (mean[..., 3] > 0.5) & (true[..., 3] > 0.5))]
    spreads = [*spread, surface_difference(guesses, mean, (guesses[..., 3] > 0.5).all(0)) * (K / (K - 1)) ** 0.5]
    row: Row = {"angle_deg": angles_deg(cameras[0], given).tolist(), "cpu_seconds": seconds}
    row["half_open"] = half_open(mean[..., 3]).tolist()
    row |= {f"spread_{kind}": values for kind, values in zip(KINDS, _with_total(spreads), strict=True)}
    row |= {f"error_{kind}": values for kind, values in zip(KINDS, _with_total(found), strict=True)}
    return row | hidden_chroma(mesh, cameras[0], given, guesses, true)


def errors(guess: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Of color and opacity [n], of premultiplied RGBA [n, s, s, 4], divided by the true silhouette's area."""
    square, area = (guess - true).square(), true[..., 3].sum((-2, -1)).clamp_min(1.0)
    return (square[..., :3].mean(-1).sum((-2, -1)) / area).sqrt(), (square[..., 3].sum((-2, -1)) / area).sqrt()


def surface_difference(guesses: Tensor, of: Tensor, where: Tensor) -> Tensor:
    """Root mean square over guesses [K, n, s, s, 4] of the straight color's distance from that of one picture, over the
    pixels `where` [n, s, s]; 0 where there are none."""
    square = (straight(guesses) - straight(of)).square().mean((0, -1)) * where
    return (square.sum((-2, -1)) / where.sum((-2, -1)).clamp_min(1)).sqrt()


def straight(rgba: Tensor) -> Tensor:
    """The color [..., 3] of premultiplied RGBA."""
    return (rgba[..., :3] / rgba[..., 3:].clamp_min(1e-3)).clamp(0.0, 1.0)


def half_open(opacity: Tensor) -> Tensor:
    """sqrt(sum of a (1 - a) / sum of a) of opacities a [n, s, s]: the deviation of a silhouette that is 1 with
    probability a, per opaque pixel."""
    return ((opacity * (1.0 - opacity)).sum((-2, -1)) / opacity.sum((-2, -1)).clamp_min(1.0)).sqrt()


def _with_total(values: Sequence[Tensor]) -> list[list[float]]:
    color, opacity, surface = values
    return [color.tolist(), opacity.tolist(), torch.hypot(color, opacity).tolist(), surface.tolist()]


def angles_deg(cameras: Camera, given: Camera) -> Tensor:
    """Between the directions of cameras [n] and of the given one, from the origin."""
    directions = torch.nn.functional.normalize(torch.cat([cameras.position, given.position[None]]).double(), dim=-1)
    return torch.rad2deg((directions[:-1] @ directions[-1]).clamp(-1.0, 1.0).acos())


def hidden_chroma(mesh: TriangleMesh, cameras: Camera, given: Camera, guesses: Tensor, true: Tensor) -> Row:
    """Mean chroma over the pixels that show hidden surface and that the truth and all guesses cover."""
    _, hidden = seen_pixels(mesh, cameras, [given])
    hidden &= (true[..., 3] > 0.99) & (guesses[..., 3] > 0.5).all(0)

    def chroma(rgba: Tensor) -> float:
        return float(cielab(straight(rgba))[..., 1:].norm(dim=-1).mean())

    if not bool(hidden.any()):
        return {"hidden_pixels": 0}
    found = {"chroma_true": chroma(true[hidden]), "chroma_mean": chroma(guesses.mean(0)[hidden])}
    return {"hidden_pixels": int(hidden.sum()), "chroma_guess": chroma(guesses[:, hidden]), **found}


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, or nan where one of them is constant."""
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else float("nan")


def without(a: np.ndarray, b: np.ndarray, *known: np.ndarray) -> float:
    """Spearman's partial correlation of a and b given others: the correlation of what a linear fit to the ranks of
    `known` leaves of the ranks of a and b."""
    plane = np.stack([np.ones(len(a)), *(rankdata(values) for values in known)], axis=1)
    left, right = (r - plane @ np.linalg.lstsq(plane, r, rcond=None)[0] for r in (rankdata(a), rankdata(b)))
    return float(left @ right / np.sqrt((left @ left) * (right @ right)))


def summary(rows: Sequence[Row]) -> list[str]:
    """The printed table: correlations of spread and of its rivals with the error, and the chroma of hidden surfaces."""
    lines = [f"{len(rows)} objects, {len(_of(rows[0], 'angle_deg'))} directions each"] if rows else []
    rows = [row | {"sine": np.sin(np.radians(_of(row, "angle_deg")))} for row in rows]
    for kind in KINDS if len(rows) > 1 else ():
        error, spread = f"error_{kind}", f"spread_{kind}"
        lines.append(f"{kind}: mean error {_all(rows, error).mean():.4f}, mean spread {_all(rows, spread).mean():.4f}")
        lines += [_predicts(rows, name, of, error) for name, of in ({"spread": spread} | RIVALS).items()]
        left = [without(*(_of(row, key) for key in (spread, error, "angle_deg", "sine"))) for row in rows]
        lines.append(f"  spread given angle and sine: within objects {_interval(left)}")
    return lines + _chroma(rows)


def _predicts(rows: Sequence[Row], name: str, of: str, error: str) -> str:
    within = _interval([rank_correlation(_of(row, of), _of(row, error)) for row in rows])
    pooled = rank_correlation(_all(rows, of), _all(rows, error))
    means = rank_correlation(*(np.array([_of(row, key).mean() for row in rows]) for key in (of, error)))
    between = "" if of in ("angle_deg", "sine") else f", of objects' means {means:.3f}"
    return f"  {name:9s} within objects {within}, all together {pooled:.3f}{between}"


def _chroma(rows: Sequence[Row]) -> list[str]:
    known = [row for row in rows if row["hidden_pixels"]]
    if len(known) < 2:
        return []
    chroma = {key: np.array([row[f"chroma_{key}"] for row in known], float) for key in ("true", "guess", "mean")}
    lines = [f"chroma of hidden surfaces, {len(known)} objects"]
    for a, b in (("mean", "guess"), ("guess", "true"), ("mean", "true")):
        low, high = bootstrap_interval((chroma[a] - chroma[b]).tolist())
        gain = f"{(chroma[a] - chroma[b]).mean():+.2f} ({low:+.2f} to {high:+.2f})"
        lines.append(f"  {a} {chroma[a].mean():.2f}, {b} {chroma[b].mean():.2f}: {gain}")
    return lines


def _interval(found: Sequence[float]) -> str:
    values = np.array(found)
    values = values[~np.isnan(values)]
    low, high = bootstrap_interval(values.tolist())
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f}; above 0 in {int((values > 0).sum())} of {len(values)})"


def _of(row: Row, key: str) -> np.ndarray:
    return np.array(row[key], np.float64)


def _all(rows: Sequence[Row], key: str) -> np.ndarray:
    return np.concatenate([_of(row, key) for row in rows])


def main(argv: Sequence[str] | None = None) -> int:
    """Measures what is missing, writes the file after each object, prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks confidence", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--data", required=True, help="folder of meshes with a manifest.jsonl")
    parser.add_argument("--split", choices=("heldout", "outside"), default="heldout")
    parser.add_argument("--n", type=int, default=48, help="objects of the draw")
    parser.add_argument("--weights", help="weights of the built-in prior; the packaged ones by default")
    parser.add_argument("--out", type=Path, help="JSON file for the figures, written after every object")
    parser.add_argument("--only-table", action="store_true", help="of what is in --out already")
    asked = parser.parse_args(argv)
    prior = BuiltinPrior.load(PriorConfig(weights=asked.weights))
    about = {"split": asked.split, "prior": prior.about().get("sha256")}
    rows = kept_rows(asked.out, {"about": about})
    done = {row["object"] for row in rows}
    for name in [] if asked.only_table else drawn_names(asked.data, asked.split, asked.n):
        if name in done:
            continue
        rows.append({"object": name} | measured(prior, object_mesh(name, asked.data)))
        print(f"{len(rows)} {name} {float(str(rows[-1]['cpu_seconds'])):.1f} s", flush=True)
        keep_rows(asked.out, {"about": about}, rows)
    print("\n".join(summary(rows)))
    return 0
