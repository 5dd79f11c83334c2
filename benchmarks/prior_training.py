"""Choices in the training of the built-in prior, each trained for the same processor time from the same weights.

    python -m benchmarks prior_training OUT --meshes FOLDER [--weights FILE] [--minutes 5] [--rate 3e-4] [--only base]

Every variant changes one thing of `base` (training=objects at a constant rate) and trains for so many minutes of one
thread's processor time; what is measured is its average of the weights (`ema_decay`) on held-out objects, on objects of
other sources and on procedural scenes, always the same frames and noise. `again` is `base` with another seed: what it
differs by is noise. `mean` is the mean of both's weights. Resumable: OUT/table.json is written after each variant.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from nerf2mesh.objects.config import ObjectDataConfig
from nerf2mesh.objects.folder import ObjectFolder, hashed_order
from nerf2mesh.objects.stream import ObjectScenes, check_batch
from nerf2mesh.objects.train import MeshTrainConfig
from nerf2mesh.priors.builtin.averaging import average_weights
from nerf2mesh.priors.builtin.data import OtherScenes, held_out_scenes
from nerf2mesh.priors.builtin.network import MultiViewDenoiser
from nerf2mesh.priors.builtin.object_check import check_objects
from nerf2mesh.priors.builtin.prior import PACKAGED
from nerf2mesh.priors.builtin.train import Stopping, train_prior
from nerf2mesh.priors.builtin.validation import validate
from nerf2mesh.priors.builtin.weight_files import read_network
from nerf2mesh.procedural.dataset import Batch
from nerf2mesh.procedural.grammar import ViewConfig
from nerf2mesh.utils.atomic_write import atomic_write_text

VARIANTS: dict[str, Callable[[MeshTrainConfig], MeshTrainConfig]] = {
    "base": lambda c: c,
    "again": lambda c: replace(c, seed=1),
    "3 noisy frames": lambda c: replace(c, n_frames=4, batch_scenes=12),
    "7 noisy frames": lambda c: replace(c, n_frames=8, batch_scenes=6),
    "high noise share .4": lambda c: replace(c, high_noise_share=0.4),
    "high noise share 1": lambda c: replace(c, high_noise_share=1.0),
    "min-SNR 5": lambda c: replace(c, snr_limit=5.0),
    "opacity .1": lambda c: replace(c, opacity_weight=0.1),
    "a third of the rate": lambda c: replace(c, learning_rate=c.learning_rate / 3),
    "three times the rate": lambda c: replace(c, learning_rate=3 * c.learning_rate),
    "average .95": lambda c: replace(c, ema_decay=0.95),
    "no procedural scenes": lambda c: replace(c, data=replace(c.data, procedural_share=0.0)),
    "no patterns": lambda c: replace(c, data=replace(c.data, augment=replace(c.data.augment, pattern_share=0.0))),
}
"""What each changes of `settings`."""
N_CHECK = 48
COLUMNS = ("objects_v_loss_t0.9", "objects_v_loss_t0.3", "objects_iou_t0.9", "objects_psnr_t0.9")


def limited(minutes: float) -> Stopping:
    """For `train_prior`: ends after so many minutes of this process's processor time in the steps."""

    @contextmanager
    def stopping() -> Iterator[Callable[[], bool]]:
        began = time.process_time()
        yield lambda: time.process_time() - began >= 60.0 * minutes

    return stopping


def settings(out: Path, scenes: Path, meshes: str, weights: Path, rate: float = 3e-4) -> MeshTrainConfig:
    """`training=objects` at a constant rate."""
    return MeshTrainConfig(
        weights=str(weights), output_dir=str(out), data_dir=str(scenes), first_scene=200_000, n_scenes=1024,
        views=ViewConfig(size_px=64, n_views=8), batch_scenes=8, n_frames=6, learning_rate=rate, drop_condition=0.12,
        warmup_steps=10, cooldown_share=0.0, ema_decay=0.98, minutes=1e6, validate_every=1_000_000,
        data=ObjectDataConfig(meshes=meshes, procedural_share=0.3),
    )  # fmt: skip


def train(config: MeshTrainConfig, folder: ObjectFolder, minutes: float) -> dict[str, float]:
    """Trains one variant; its steps, frames and seconds of processor time."""
    scenes = ObjectScenes(folder, folder.split("train"), config.views, config.data.augment, config.seed)
    before = time.process_time()
    state = train_prior(config, OtherScenes(scenes.batch, config.data.procedural_share), limited(minutes))
    return {"steps": state.step, "frames": state.frames_seen, "processor_s": time.process_time() - before}


def measured(file: Path, checks: dict[str, Batch], procedural: Batch, config: MeshTrainConfig) -> dict[str, float]:
    """Held-out figures of a file of weights."""
    network = read_network(file).eval()
    found = {f"{split} {key}": value for split, batch in checks.items() for key, value in _chosen(network, batch)}
    return found | {"procedural v_loss_t0.9": validate(network, procedural, config)["v_loss_t0.9"]}


def _chosen(network: MultiViewDenoiser, batch: Batch) -> list[tuple[str, float]]:
    found = check_objects(network, batch, n_frames=6)
    return [(key.removeprefix("objects_"), found[key]) for key in COLUMNS]


def table(rows: dict[str, dict[str, float]]) -> str:
    """Markdown."""
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = ["| | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for name, row in rows.items():
        cells = (f"{row[key]:.5g}" if key in row else "" for key in keys)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks prior_training", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--meshes", required=True)
    parser.add_argument("--weights", type=Path, help="to start from; without: the packaged ones")
    parser.add_argument("--scenes", type=Path, help="where procedural scenes are kept; without: OUT/scenes")
    parser.add_argument("--minutes", type=float, default=5.0, help="of one thread's processor time, each")
    parser.add_argument("--rate", type=float, default=3e-4, help="learning rate of base")
    parser.add_argument("--only", action="append", choices=list(VARIANTS), help="these variants")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    weights, scenes = args.weights or PACKAGED, args.scenes or args.out / "scenes"
    folder = ObjectFolder(args.meshes, ObjectDataConfig(meshes=args.meshes))
    views = ViewConfig(n_views=6, size_px=64)
    splits = {split: hashed_order(folder.split(split))[:N_CHECK] for split in ("heldout", "outside")}
    checks = {split: check_batch(folder, chosen, views) for split, chosen in splits.items() if chosen}
    plain = settings(args.out / "base", scenes, args.meshes, weights)
    procedural = held_out_scenes(plain)
    path = args.out / "table.json"
    rows: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.exists() else {}

    def note(name: str, row: dict[str, float]) -> None:
        rows[name] = row
        atomic_write_text(path, json.dumps(rows, indent=1) + "\n")
        print(name, {key: round(value, 5) for key, value in row.items()}, flush=True)

    if "start" not in rows:
        note("start", measured(weights, checks, procedural, plain))
    for name in args.only or VARIANTS:
        out = args.out / name.replace(" ", "_")
        if name not in rows:
            config = VARIANTS[name](settings(out, scenes, args.meshes, weights, args.rate))
            spent = train(config, folder, args.minutes)
            note(name, spent | measured(out / "prior.safetensors", checks, procedural, plain))
    if {"base", "again"} <= set(rows) and "mean" not in rows:
        files = [args.out / name / "prior.safetensors" for name in ("base", "again")]
        note("mean", measured(average_weights(files, args.out / "mean"), checks, procedural, plain))
    atomic_write_text(args.out / "table.md", table(rows) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
