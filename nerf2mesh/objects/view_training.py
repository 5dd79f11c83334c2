"""Training of a small network on views, drawn as they are needed, of a folder's objects and of procedural scenes."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from nerf2mesh.inputs.network_files import NetworkFile
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder, hashed_order, licence_summary
from nerf2mesh.objects.mesh import ObjectMesh
from nerf2mesh.objects.timed_training import TimedTraining, objects_of
from nerf2mesh.objects.view_config import ViewTrainConfig
from nerf2mesh.procedural.dataset import VALIDATION_SEED

REPORT_EVERY_S = 60.0
CHECK_SEED = 1 << 20
Network = TypeVar("Network", bound=nn.Module)
View = TypeVar("View")


Config = TypeVar("Config", bound=ViewTrainConfig)


@dataclass(frozen=True, eq=False)
class Views(Generic[View, Config]):
    """What views a training is on.

    of_mesh: so many of a mesh, or fewer where nothing is seen. of_scenes: two each of so many procedural scenes from a
    first number on. mirrored: left and right exchanged. tensors: a list of them as the network's arguments, truth:
    [B, ...] each. group: views of one mesh in a row. key: of the random numbers, so that no two trainings share them.
    """

    of_mesh: Callable[[ObjectMesh, np.random.Generator, Config, int], list[View]]
    of_scenes: Callable[[int, int, Config], list[View]]
    mirrored: Callable[[View], View]
    tensors: Callable[[list[View]], tuple[Tensor, ...]]
    group: int
    key: int


class ViewStream(Generic[View, Config]):
    """Groups of views of some meshes and of procedural scenes; the same for a number and a seed."""

    def __init__(
        self,
        views: Views[View, Config],
        config: Config,
        folder: ObjectFolder | None,
        entries: Sequence[ObjectEntry],
        seed: int,
        *,
        heldout: bool = False,
    ) -> None:
        self.views, self.config, self.folder, self.entries, self.seed = views, config, folder, list(entries), seed
        self._broken: set[Path] = set()
        n_scenes = -(-config.n_scenes // 8) if heldout else config.n_scenes
        self.scenes = views.of_scenes(VALIDATION_SEED if heldout else 0, n_scenes, config)

    def group(self, number: int) -> list[View]:
        """`Views.group` views."""
        rng, size = np.random.default_rng([self.seed, number, self.views.key]), self.views.group
        share = self.config.procedural_share if self.scenes else 0.0
        found: list[View] = []
        while len(found) < size:
            if self.folder is None or rng.random() < share:
                found += [self.scenes[i] for i in rng.integers(len(self.scenes), size=size)]
            else:
                found += self._of_mesh(self.folder, rng)
        return found[:size]

    def _of_mesh(self, folder: ObjectFolder, rng: np.random.Generator) -> list[View]:
        """Views of a mesh; a file that cannot be read is named once and then left out."""
        entry = self.entries[rng.integers(len(self.entries))]
        if entry.path in self._broken:
            return []
        try:
            return self.views.of_mesh(folder.read(entry), rng, self.config, self.views.group)
        except (OSError, ValueError) as error:
            self._broken.add(entry.path)
            print(f"skipped {entry.path}: {' '.join(str(error).split())}", flush=True)
            if len(self._broken) == len(self.entries):
                raise ValueError(
                    f"data.meshes: expected meshes that can be read in {folder.folder}, got none of "
                    f"{len(self.entries)}; give others"
                ) from error
            return []


class ViewTraining(TimedTraining[Network], Generic[Network, View, Config], ABC):
    """The training, and what it has seen.

    network: a new one; the weights of `config.weights` are put into it. meshes: what the file says of its data.
    """

    def __init__(
        self,
        views: Views[View, Config],
        file: NetworkFile[Network],
        network: Network,
        config: Config,
        meshes: list[dict[str, object]],
        *,
        weight_decay: float,
    ) -> None:
        if config.weights is not None:
            network.load_state_dict(file.read(Path(config.weights)).state_dict())
        super().__init__(network, config, weight_decay=weight_decay)
        self.views, self.file, self.config, self.meshes, self.seen = views, file, config, meshes, 0

    @abstractmethod
    def losses(self, *batch: Tensor) -> Tensor:
        """The loss of one batch of `Views.tensors`."""

    @abstractmethod
    def errors(self, *check: Tensor) -> dict[str, float]:
        """What the average gets wrong of held-out views."""

    def step(self, *batch: Tensor) -> None:
        """One step on a batch of `Views.tensors`."""
        self.descend(self.losses(*batch))

    def batches(self, stream: ViewStream[View, Config]) -> Iterator[list[View]]:
        """Batches until the time is over: new views and kept ones, half of them mirrored."""
        config, rng = self.config, np.random.default_rng([self.config.seed, 91])
        fresh = min(config.batch, max(1, round(config.new_share * config.batch)))
        kept: list[View] = []
        new: list[View] = []
        number = 0
        while self.share < 1.0:
            count = fresh if len(kept) >= 10 * config.batch else config.batch
            while len(new) < count:
                new += stream.group(number)
                number += 1
            taken, new = new[:count], new[count:]
            old = [kept[i] for i in rng.integers(len(kept), size=config.batch - count)] if kept else []
            kept = (kept + taken)[-config.kept :]
            self.seen += count
            yield [self.views.mirrored(view) if rng.random() < 0.5 else view for view in [*taken, *old]]

    def report(self, check: tuple[Tensor, ...], path: Path) -> None:
        """Prints and keeps the held-out errors, and writes the weights to `path`."""
        cpu_minutes = round(time.process_time() / 60.0, 1)
        line = self.line(path.parent, views=self.seen, cpu_minutes=cpu_minutes, **self.errors(*check))
        about = training_record(line, self.config, self.meshes)
        self.file.write(self.average, about, path)


def training_record(line: dict[str, object], config: Any, meshes: list[dict[str, object]]) -> dict[str, object]:
    """What a network's file says of its training: the last `line`, the settings without paths, and the data."""
    settings = asdict(config) | {"data": {"kinds": config.data.kinds}, "output_dir": "", "weights": None}
    return line | {"continued": config.weights is not None, "config": settings, "meshes": meshes}


def train_on_views(
    begin: Callable[[list[dict[str, object]]], ViewTraining[Network, View, Config]],
    views: Views[View, Config],
    config: Config,
    name: str,
) -> Path:
    """Trains for `config.minutes`, prints the held-out errors on the way and returns `config.output_dir`/`name`, the
    file of averaged weights.

    begin: the training, from what its file says of its data. Where no object is held out, the check is on the first of
    all. ValueError: nothing to train on.
    """
    torch.manual_seed(config.seed)
    if config.data.meshes is None and not config.n_scenes:
        raise ValueError("data.meshes: expected a folder or n_scenes above 0, got neither; give one of them")
    folder, train, held_out = objects_of(config.data)
    stream = ViewStream(views, config, folder, train, config.seed)
    entries = hashed_order(held_out or (folder.entries if folder else []))
    checks = ViewStream(views, config, folder if entries else None, entries, CHECK_SEED, heldout=True)
    groups = [checks.group(k) for k in range(-(-config.n_check // views.group))]
    check = views.tensors([view for group in groups for view in group][: config.n_check])
    path = Path(config.output_dir) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    run = begin(licence_summary(train))
    reported = time.monotonic()
    for batch in run.batches(stream):
        run.step(*views.tensors(batch))
        if time.monotonic() - reported > REPORT_EVERY_S:
            run.report(check, path)
            reported = time.monotonic()
    run.report(check, path)
    return path
