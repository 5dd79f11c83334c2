"""What the built-in prior is trained and checked on: procedural scenes, scenes from elsewhere, or both.

Batches are those of `procedural.dataset`; they may have `given` uint8 [B, V, h, w, 4] besides: how each view looks
where it is given, if that differs from what is to be predicted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from nerf2mesh.priors.builtin.train_config import PriorTrainConfig
from nerf2mesh.procedural.dataset import VALIDATION_SEED, Batch, ShardedScenes, StreamedScenes, write_shards

N_CHECK_SCENES = 64
Sources = list[dict[str, object]]
"""Files by licence, source and credit."""


@dataclass(frozen=True)
class OtherScenes:
    """Scenes that are not procedural.

    draw(first, n): scenes number `first` to `first + n` - 1, each the same whenever it is drawn; procedural_share: of
    all scenes; check: held-out ones, or None; sources: whose they are.
    """

    draw: Callable[[int, int], Batch]
    procedural_share: float = 0.0
    check: Batch | None = None
    sources: Sources = field(default_factory=list)


def training_batches(
    config: PriorTrainConfig, other: OtherScenes | None, first: int, seen: int, generator: torch.Generator
) -> Iterator[Batch]:
    """Endless batches on the training's device, from number `first` on.

    seen: frames that were trained on, beyond which streamed scenes start; generator: draws from procedural shards.
    """
    needed = other is None or other.procedural_share > 0.0
    procedural = procedural_scenes(config, seen, generator) if needed else None
    if other is not None:
        return mixed_batches(other, procedural, config.batch_scenes, first, config.device)
    assert procedural is not None
    return iter(lambda: procedural(config.batch_scenes), None)


def mixed_batches(
    other: OtherScenes, procedural: Callable[[int], Batch] | None, size: int, first: int, device: str
) -> Iterator[Batch]:
    """Batches number `first`, `first` + 1, ... of `size` scenes, procedural ones by their share on the long average.

    procedural: gives so many scenes. Batch k holds the other scenes floor(k s) to floor((k + 1) s) - 1, where
    s = size (1 - procedural_share): the number of the batch alone says where the stream is.
    """
    per_batch = size * (1.0 - other.procedural_share) if procedural is not None else float(size)
    number = first
    while True:
        start, stop = (math.floor(k * per_batch + 1e-6) for k in (number, number + 1))
        parts = [other.draw(start, stop - start)] if stop > start else []
        if procedural is not None and stop - start < size:
            scenes = procedural(size - stop + start)
            parts.append({"given": scenes["rgba"]} | scenes)
        yield {key: torch.cat([part[key].to(device) for part in parts]) for key in parts[0]}
        number += 1


def procedural_scenes(config: PriorTrainConfig, seen: int, generator: torch.Generator) -> Callable[[int], Batch]:
    """Gives so many procedural scenes, from shards on disk or rendered on the training's device."""
    if config.stream:
        return StreamedScenes(seen, config.views, config.device).draw
    folder = Path(config.data_dir)
    write_shards(folder, range(config.first_scene, config.first_scene + config.n_scenes), config.views)
    shards = ShardedScenes(folder, config.views)
    return lambda n: shards.draw(n, generator)


def held_out_scenes(config: PriorTrainConfig) -> Batch:
    """The fixed procedural scenes of validation."""
    folder = Path(config.data_dir) / "held_out"
    write_shards(folder, range(VALIDATION_SEED, VALIDATION_SEED + 512), config.views, compiled=False)
    check = ShardedScenes(folder, config.views).draw(N_CHECK_SCENES, torch.Generator().manual_seed(0))
    return {key: value.to(config.device) for key, value in check.items()}


def on_device(batch: Batch | None, device: str) -> Batch | None:
    """A batch with all its tensors on `device`; None stays None."""
    return None if batch is None else {key: value.to(device) for key, value in batch.items()}


def data_card(trainings: Sequence[Sources]) -> str:
    """A page that says whose meshes weights were trained on, training by training; empty without any."""
    lines = []
    for rows in filter(None, trainings):
        lines += ["", f"{sum(int(str(row['files'])) for row in rows)} meshes", ""]
        lines += ["| files | licence | source | credit |", "|---|---|---|---|"]
        lines += [f"| {row['files']} | {row['licence']} | {row['source']} | {row['credit']} |" for row in rows]
    return "\n".join(["# Meshes that these weights were trained on", *lines, ""]) if lines else ""
