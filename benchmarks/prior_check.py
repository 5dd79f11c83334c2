"""How well several files of weights denoise held-out objects of some kinds: what a specialized training brings.

    python -m benchmarks prior_check BASE.safetensors SPECIAL.safetensors --meshes FOLDER --kinds character

Objects of the splits heldout and outside, each as one given picture and five noisy views, the same noise for every
file. Rows: loss of v at t = 0.3, 0.6 and 0.9, IoU of the masks and PSNR of the guess that one step from t = 0.9 makes.
Differences are paired with the first file, with 95 % intervals over objects.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nerf2mesh.evaluate.tables.statistics import bootstrap_interval
from nerf2mesh.objects.config import ObjectDataConfig
from nerf2mesh.objects.folder import ObjectFolder, hashed_order
from nerf2mesh.objects.stream import check_batch
from nerf2mesh.priors.builtin.object_check import check_objects
from nerf2mesh.priors.builtin.weight_files import read_network
from nerf2mesh.procedural.dataset import Batch
from nerf2mesh.procedural.grammar import ViewConfig

SPLITS = ("heldout", "outside")
N_FRAMES = 6
FEWEST = 5
"""Objects for an interval."""


def per_object(file: Path, batch: Batch) -> dict[str, np.ndarray]:
    """Each figure of each object, [n]."""
    network = read_network(file).eval()
    singles = [{k: v[i : i + 1] for k, v in batch.items()} for i in range(len(batch["rgba"]))]
    rows = [check_objects(network, single, N_FRAMES) for single in singles]
    return {key.removeprefix("objects_"): np.array([row[key] for row in rows]) for key in rows[0]}


def lines(found: dict[str, dict[str, np.ndarray]]) -> list[str]:
    """Markdown: the means of each file, and the paired gains over the first one."""
    names = list(found)
    told = ["| | " + " | ".join([names[0], *(f"{name} | difference" for name in names[1:])]) + " |"]
    told.append("|" + "---|" * (2 * len(names)))
    for key, base in found[names[0]].items():
        cells = [f"{base.mean():.4f}"]
        for name in names[1:]:
            gain = found[name][key] - base
            low, high = bootstrap_interval(list(gain))
            between = f" ({low:+.4f} to {high:+.4f})" if len(gain) >= FEWEST else ""
            cells.append(f"{found[name][key].mean():.4f} | {gain.mean():+.4f}{between}")
        told.append(f"| {key} | " + " | ".join(cells) + " |")
    return told


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a table for each split and for both."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks prior_check", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("weights", nargs="+", type=Path, help="files of weights, the first is compared with")
    parser.add_argument("--meshes", required=True, help="folder of meshes with a manifest.jsonl")
    parser.add_argument("--kinds", nargs="*", default=[], help="of objects; without: all")
    parser.add_argument("--most", type=int, default=48, help="objects of each split")
    args = parser.parse_args(argv)
    folder = ObjectFolder(args.meshes, ObjectDataConfig(meshes=args.meshes, kinds=tuple(args.kinds)))
    same = len({file.stem for file in args.weights}) < len(args.weights)
    names = [str(file) if same else file.stem for file in args.weights]
    whole: dict[str, dict[str, list[np.ndarray]]] = {}
    for split in SPLITS:
        entries = hashed_order(folder.split(split))[: args.most]
        if not entries:
            continue
        batch = check_batch(folder, entries, ViewConfig(n_views=N_FRAMES, size_px=64))
        found = {name: per_object(file, batch) for name, file in zip(names, args.weights, strict=True)}
        print("\n".join([f"\n{split}: {len(batch['rgba'])} objects\n", *lines(found)]), flush=True)
        for name, values in found.items():
            for key, value in values.items():
                whole.setdefault(name, {}).setdefault(key, []).append(value)
    joined = {name: {key: np.concatenate(parts) for key, parts in values.items()} for name, values in whole.items()}
    if joined:
        n = len(next(iter(next(iter(joined.values())).values())))
        print("\n".join([f"\nboth: {n} objects\n", *lines(joined)]), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
