"""What the built-in prior is trained and checked on: procedural scenes, scenes from elsewhere, or both.

Batches are those of `procedural.dataset`; they may have `given` uint8 [B, V, h, w, 4] besides: how each view looks
where it is given, if that differs from what is to be predicted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

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
        return mixed_batches(other, procedural, config.batch_scenes, first, config.device, config.workers)
    assert procedural is not None
    return iter(lambda: procedural(config.batch_scenes), None)


@dataclass(frozen=True)
class NumberedBatches(Dataset[Batch]):
    """Batch k holds the scenes floor(k s) to floor((k + 1) s) - 1 of `draw`, where s = `per_batch`: the number of the
    batch alone says where the stream is. Empty where no scene falls to it."""

    draw: Callable[[int, int], Batch]
    per_batch: float

    def __getitem__(self, number: int) -> Batch:
        start, stop = (math.floor(k * self.per_batch + 1e-6) for k in (number, number + 1))
        return self.draw(start, stop - start) if stop > start else {}


def drawn_ahead(batches: NumberedBatches, first: int, workers: int, *, pinned: bool = False) -> Iterator[Batch]:
    """Batches number `first`, `first` + 1, ..., drawn by so many processes, in order.

    Processes are started anew (spawn): `batches.draw` must be picklable, and what it keeps in memory stays behind.
    pinned: into memory that a GPU copies from without waiting.
    """
    if not workers:
        return (batches[number] for number in itertools.count(first))
    return iter(
        DataLoader(
            batches,
            batch_size=None,
            sampler=_Counting(first),
            num_workers=workers,
            prefetch_factor=4,
            pin_memory=pinned,
            multiprocessing_context="spawn",
        )
    )


class _Counting(Sampler[int]):
    """first, first + 1, ... without end."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.first)


def mixed_batches(
    other: OtherScenes,
    procedural: Callable[[int], Batch] | None,
    size: int,
    first: int,
    device: str,
    workers: int = 0,
) -> Iterator[Batch]:
    """Batches number `first`, `first` + 1, ... of `size` scenes, procedural ones by their share on the long average.

    procedural: gives so many scenes; workers: processes that draw the other ones (`drawn_ahead`).
    """
    per_batch = size * (1.0 - other.procedural_share) if procedural is not None else float(size)
    batches = NumberedBatches(other.draw, per_batch)
    for batch in drawn_ahead(batches, first, workers, pinned=device.startswith("cuda")):
        parts = [batch] if batch else []
        missing = size - (len(batch["rgba"]) if batch else 0)
        if procedural is not None and missing:
            scenes = procedural(missing)
            parts.append({"given": scenes["rgba"]} | scenes)
        yield {key: torch.cat([part[key].to(device, non_blocking=True) for part in parts]) for key in parts[0]}


def procedural_scenes(config: PriorTrainConfig, seen: int, generator: torch.Generator) -> Callable[[int], Batch]:
    """Gives so many procedural scenes, from shards on disk (kept on the training's device) or rendered there."""
    if config.stream:
        return StreamedScenes(config.first_scene + seen, config.views, config.device).draw
    folder = Path(config.data_dir)
    seeds = range(config.first_scene, config.first_scene + config.n_scenes)
    write_shards(folder, seeds, config.views, device=config.device)
    shards = ShardedScenes(folder, config.views, config.device)
    return lambda n: shards.draw(n, generator)


def held_out_scenes(config: PriorTrainConfig) -> Batch:
    """The fixed procedural scenes of validation."""
    folder = Path(config.data_dir) / "held_out"
    seeds = range(VALIDATION_SEED, VALIDATION_SEED + 512)
    write_shards(folder, seeds, config.views, compiled=False, device=config.device)
    return ShardedScenes(folder, config.views, config.device).draw(N_CHECK_SCENES, torch.Generator().manual_seed(0))


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
