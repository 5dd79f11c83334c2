"""Training of the normals network: `nerf2mesh-train-normals data.meshes=FOLDER`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.inputs.normals.network import NormalsNetwork
from nerf2mesh.inputs.normals.predict import seen_twice
from nerf2mesh.inputs.normals.weights import read_network, write_network
from nerf2mesh.normals.config import NormalsTrainConfig
from nerf2mesh.normals.stream import GROUP, NormalsStream, Shown
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder, hashed_order, licence_summary
from nerf2mesh.objects.timed_training import TimedTraining, objects_of

NAME = "normals.safetensors"
REPORT_EVERY_S = 60.0
CHECK_SEED = 1 << 20


def train_normals(config: NormalsTrainConfig) -> Path:
    """Trains for `config.minutes`, prints the held-out error on the way and returns the file of averaged weights."""
    torch.manual_seed(config.seed)
    if config.data.meshes is None and not config.n_scenes:
        raise ValueError("data.meshes: expected a folder or n_scenes above 0, got neither; give one of them")
    folder, train, held_out = objects_of(config.data)
    stream = NormalsStream(config, folder, train, config.seed)
    check = _check(config, folder, held_out)
    out = Path(config.output_dir)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(config, licence_summary(train))
    reported = time.monotonic()
    for views in run.batches(stream):
        run.step(*tensors(views))
        if time.monotonic() - reported > REPORT_EVERY_S:
            run.report(check, out)
            reported = time.monotonic()
    run.report(check, out)
    return out / NAME


class _Run(TimedTraining[NormalsNetwork]):
    """The training, and what it has seen."""

    def __init__(self, config: NormalsTrainConfig, meshes: list[dict[str, object]]) -> None:
        network = NormalsNetwork(config.network)
        if config.weights is not None:
            network.load_state_dict(read_network(Path(config.weights)).state_dict())
        super().__init__(network, config, weight_decay=0.02)
        self.config, self.meshes, self.views = config, meshes, 0

    def batches(self, stream: NormalsStream) -> Iterator[list[Shown]]:
        """Batches until the time is over: new views and kept ones, half of them mirrored."""
        config, rng = self.config, np.random.default_rng([self.config.seed, 91])
        fresh = min(config.batch, max(1, round(config.new_share * config.batch)))
        kept: list[Shown] = []
        new: list[Shown] = []
        number = 0
        while self.share < 1.0:
            count = fresh if len(kept) >= 10 * config.batch else config.batch
            while len(new) < count:
                new += stream.group(number)
                number += 1
            taken, new = new[:count], new[count:]
            old = [kept[i] for i in rng.integers(len(kept), size=config.batch - count)] if kept else []
            kept = (kept + taken)[-config.kept :]
            self.views += count
            yield [mirrored(view) if rng.random() < 0.5 else view for view in [*taken, *old]]

    def step(self, pictures: Tensor, normals: Tensor) -> None:
        """One step on pictures [B, 4, s, s] and their normals [B, 3, s, s], both premultiplied."""
        self.descend(normals_loss(self.network(pictures), normals, pictures[:, 3:]))

    def report(self, check: tuple[Tensor, Tensor], out: Path) -> None:
        """Prints and keeps the held-out error, and writes the weights."""
        error = round(float(mean_angle_deg(self.average, *check)), 2)
        minutes = round(time.process_time() / 60.0, 1)
        line = self.line(out, views=self.views, mean_angle_deg=error, cpu_minutes=minutes)
        settings = asdict(self.config) | {"data": {"kinds": self.config.data.kinds}, "output_dir": "", "weights": None}
        continued = {"continued": self.config.weights is not None}
        write_network(self.average, line | continued | {"config": settings, "meshes": self.meshes}, out / NAME)


def normals_loss(found: Tensor, normals: Tensor, alpha: Tensor) -> Tensor:
    """Mean squared difference of mean normals [B, 3, s, s] from premultiplied true ones, over the opacity [B, 1, s, s];
    its minimum is the mean of what the normal may be."""
    difference = (found * alpha - normals).square().sum(1, keepdim=True)
    return difference.sum() / alpha.sum().clamp_min(1.0)


@torch.no_grad()
def mean_angle_deg(network: NormalsNetwork, pictures: Tensor, normals: Tensor) -> Tensor:
    """Mean angle to the true normals over the opaque pixels, in degrees."""
    found = torch.cat([seen_twice(part, network) for part in pictures.split(16)])
    cosine = (F.normalize(found, dim=1) * F.normalize(normals, dim=1)).sum(1).clamp(-1.0, 1.0)
    return torch.rad2deg(torch.acos(cosine[pictures[:, 3] > 0.95])).mean()


def _check(
    config: NormalsTrainConfig, folder: ObjectFolder | None, held_out: list[ObjectEntry]
) -> tuple[Tensor, Tensor]:
    """Views of held-out objects."""
    entries = hashed_order(held_out)
    stream = NormalsStream(config, folder if entries else None, entries, CHECK_SEED, heldout=True)
    views = [view for k in range(-(-config.n_check // GROUP)) for view in stream.group(k)]
    return tensors(views[: config.n_check])


def mirrored(view: Shown) -> Shown:
    """Left and right exchanged."""
    picture, normal = view
    return picture[:, ::-1], normal[:, ::-1] * np.array([-1, 1, 1], np.int8)


def tensors(views: list[Shown]) -> tuple[Tensor, Tensor]:
    """Pictures [B, 4, s, s] in [0, 1] and normals [B, 3, s, s], both premultiplied."""
    pictures = torch.from_numpy(np.stack([picture for picture, _ in views])).permute(0, 3, 1, 2).float().div(255.0)
    normals = torch.from_numpy(np.stack([normal for _, normal in views])).permute(0, 3, 1, 2).float().div(127.0)
    return pictures.contiguous(memory_format=torch.channels_last), normals
