"""How good views sampled from the built-in prior are: `python -m benchmarks.sampled_views --n 64 [--weights PATH]`.

PSNR and SSIM of three views at 90, 180 and 270 degrees, sampled from 1, 2 and 3 given views of held-out scenes, beside
copying the first given view and beside the mean picture of training scenes. Means over scenes with 95 % intervals.
With `--meshes FOLDER --split heldout` (or outside) the scenes are objects of a folder (see docs/training-on-models.md).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from nerf2mesh.evaluate.protocols.sampled_views import (
    GIVEN_AZIMUTHS_DEG,
    Sampling,
    SceneViews,
    Scores,
    given_frames,
    held_out_views,
    mean_training_views,
    object_views,
    sample_views,
    score_pictures,
)
from nerf2mesh.evaluate.tables.results import machine_kind, today
from nerf2mesh.evaluate.tables.statistics import bootstrap_interval
from nerf2mesh.evaluate.tables.tables import markdown
from nerf2mesh.objects.config import SPLITS
from nerf2mesh.objects.folder import ObjectFolder, hashed_order
from nerf2mesh.priors.builtin.prior import PACKAGED, BuiltinPrior
from nerf2mesh.priors.config import PriorConfig


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    try:
        report = measure(args)
    except ValueError as error:
        print(f"sampled_views: {error}", file=sys.stderr)
        return 2
    rows = [[r["method"], str(r["given"] or "-"), _cell(r["psnr"], 2), _cell(r["ssim"], 4)] for r in report["rows"]]
    print(markdown(["method", "views given", "PSNR (dB)", "SSIM"], rows))
    about = report["sampling"]
    print(
        f"\n{report['n']} scenes ({report['scenes']}) at {report['size_px']} px, {about['steps']} steps, "
        f"guidance {about['guidance']:g}, {report['seconds']:.0f} s"
    )
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampled_views", description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=64, help="held-out scenes")
    parser.add_argument("--meshes", type=Path, help="a folder of objects instead of procedural scenes")
    parser.add_argument("--split", choices=SPLITS, default="heldout", help="of that folder")
    parser.add_argument("--weights", type=Path, help="weights of the built-in prior; the packaged ones by default")
    parser.add_argument("--steps", type=int, default=20, help="DDIM steps")
    parser.add_argument("--guidance", type=float, default=1.0, help="uncond + guidance (cond - uncond)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--batch", type=int, default=16, help="scenes at once")
    parser.add_argument("--precision", choices=["auto", "bfloat16", "float32"], default="auto")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args(argv)
    if args.n < 1 or args.steps < 1:
        parser.error("--n and --steps: at least 1 wanted")
    return args


def scenes(args: argparse.Namespace, size_px: int) -> Iterator[SceneViews]:
    """The truth in batches: procedural scenes, or the first --n objects of the split in the order of their hash."""
    if args.meshes is None:
        yield from held_out_views(args.n, size_px, device=args.device, batch=args.batch)
        return
    folder = ObjectFolder(args.meshes)
    entries, _ = folder.readable(hashed_order(folder.split(args.split))[: args.n])
    if not entries:
        raise ValueError(
            f"--meshes: expected objects of the split {args.split}, got none that can be read; choose others"
        )
    yield from object_views(folder, entries, size_px, batch=args.batch)


def measure(args: argparse.Namespace) -> dict[str, object]:
    """All rows, the settings, and which weights they belong to."""
    config = PriorConfig(weights=str(args.weights) if args.weights else None, precision=args.precision)
    prior = BuiltinPrior.load(config, args.device)
    sampling = Sampling(steps=args.steps, guidance=args.guidance, seed=args.seed)
    n, counts, size = 0, range(1, len(GIVEN_AZIMUTHS_DEG) + 1), prior.image_size
    began = time.perf_counter()
    mean = mean_training_views(size, device=args.device)
    found: dict[tuple[str, int], list[Scores]] = {}
    for views in scenes(args, size):
        pictures = {("mean training picture", 0): mean, ("copied input", 1): views.given[:, :1]}
        for k in counts:
            given = given_frames(prior, views, k)
            pictures["sampled", k] = sample_views(prior, given, views.cameras, sampling)
        for key, picture in pictures.items():
            found.setdefault(key, []).append(score_pictures(picture, views.truth))
        n = sum(len(s.psnr) for s in found["copied input", 1])
        print(f"{n} of {args.n} scenes", file=sys.stderr, flush=True)
    return {
        "n": n,
        "scenes": "procedural-heldout" if args.meshes is None else f"{args.meshes.name}, {args.split}",
        "size_px": size,
        "sampling": vars(sampling),
        "weights": _identity(args.weights or PACKAGED),
        "rows": [_row(method, given, scores) for (method, given), scores in found.items()],
        "seconds": time.perf_counter() - began,
        "machine": machine_kind(),
        "created": today(),
    }


def _row(method: str, given: int, scores: list[Scores]) -> dict[str, object]:
    """Means with intervals: [mean, low, high] (low and high null below five scenes)."""
    row: dict[str, object] = {"method": method, "given": given}
    for key in ("psnr", "ssim"):
        values = torch.cat([getattr(s, key) for s in scores]).double().cpu().numpy()
        low, high = bootstrap_interval(values)
        row[key] = [float(values.mean()), *(None if v != v else v for v in (low, high))]
    return row


def _cell(value: list, digits: int) -> str:
    mean, low, high = value
    return f"{mean:.{digits}f}" + ("" if low is None else f" ({low:.{digits}f} to {high:.{digits}f})")


def _identity(path: Path) -> dict[str, str]:
    """Name and hash of the weights, a file or a folder of parts."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.safetensors")) if path.is_dir() else [path]:
        digest.update(file.read_bytes())
    return {"name": path.name, "sha256": digest.hexdigest()}


if __name__ == "__main__":
    sys.exit(main())
