"""Training of the viewpoint network: `nerf2mesh-train-viewpoint data.meshes=FOLDER`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.inputs.viewpoint.network import ELEVATIONS_DEG, FOVS_DEG, ViewpointNetwork, bin_centers
from nerf2mesh.inputs.viewpoint.predict import estimated_of
from nerf2mesh.inputs.viewpoint.weights import read_network, write_network
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder, hashed_order, licence_summary
from nerf2mesh.objects.timed_training import TimedTraining, objects_of
from nerf2mesh.viewpoint.config import ViewpointTrainConfig
from nerf2mesh.viewpoint.stream import GROUP, Labeled, ViewpointStream

NAME = "viewpoint.safetensors"
REPORT_EVERY_S = 60.0
CHECK_SEED = 1 << 20
SOFT_BINS = 1.0
"""Standard deviation, in bins, of the distribution that the true angle becomes."""
FOV_WEIGHT = 0.3


def train_viewpoint(config: ViewpointTrainConfig) -> Path:
    """Trains for `config.minutes`, prints the held-out errors on the way and returns the file of averaged weights."""
    torch.manual_seed(config.seed)
    if config.data.meshes is None and not config.n_scenes:
        raise ValueError("data.meshes: expected a folder or n_scenes above 0, got neither; give one of them")
    folder, train, held_out = objects_of(config.data)
    stream = ViewpointStream(config, folder, train, config.seed)
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


class _Run(TimedTraining[ViewpointNetwork]):
    """The training, and what it has seen."""

    def __init__(self, config: ViewpointTrainConfig, meshes: list[dict[str, object]]) -> None:
        network = ViewpointNetwork(config.network)
        if config.weights is not None:
            network.load_state_dict(read_network(Path(config.weights)).state_dict())
        super().__init__(network, config, weight_decay=0.02)
        self.config, self.meshes, self.views = config, meshes, 0

    def batches(self, stream: ViewpointStream) -> Iterator[list[Labeled]]:
        """Batches until the time is over: new views and kept ones, half of them mirrored."""
        config, rng = self.config, np.random.default_rng([self.config.seed, 91])
        fresh = min(config.batch, max(1, round(config.new_share * config.batch)))
        kept: list[Labeled] = []
        new: list[Labeled] = []
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
            yield [_mirrored(view) if rng.random() < 0.5 else view for view in [*taken, *old]]

    def step(self, pictures: Tensor, elevation: Tensor, fov: Tensor) -> None:
        """One step on pictures [B, 4, s, s] and their angles [B] in degrees."""
        self.descend(viewpoint_loss(self.network(pictures), elevation, fov))

    def report(self, check: tuple[Tensor, Tensor, Tensor], out: Path) -> None:
        """Prints and keeps the held-out errors, and writes the weights."""
        cpu_minutes = round(time.process_time() / 60.0, 1)
        line = self.line(out, views=self.views, cpu_minutes=cpu_minutes, **errors(self.average, *check))
        settings = asdict(self.config) | {"data": {"kinds": self.config.data.kinds}, "output_dir": "", "weights": None}
        continued = {"continued": self.config.weights is not None}
        write_network(self.average, line | continued | {"config": settings, "meshes": self.meshes}, out / NAME)


def viewpoint_loss(logits: tuple[Tensor, Tensor], elevation: Tensor, fov: Tensor) -> Tensor:
    """Cross-entropy with the angles [B], softened over neighboring bins; the field of view counts FOV_WEIGHT."""
    losses = [
        F.cross_entropy(answer, soft_bins(angle, bins))
        for answer, angle, bins in zip(logits, (elevation, fov), (ELEVATIONS_DEG, FOVS_DEG), strict=True)
    ]
    return losses[0] + FOV_WEIGHT * losses[1]


def soft_bins(angles_deg: Tensor, bins: tuple[float, float, int]) -> Tensor:
    """[B, n]: a Gaussian of SOFT_BINS bins around each angle [B], that sums to 1."""
    low, high, n = bins
    away = (bin_centers(bins) - angles_deg[:, None]) * (n / (high - low))
    return (-0.5 * (away / SOFT_BINS).square()).softmax(1)


def errors(network: ViewpointNetwork, pictures: Tensor, elevation: Tensor, fov: Tensor) -> dict[str, float]:
    """Median absolute errors in degrees, and those of the best constant guess."""
    found = [one for part in pictures.split(64) for one in estimated_of(part, network)]
    e, f = torch.tensor([one.elevation_deg for one in found]), torch.tensor([one.fov_deg for one in found])
    values = {
        "elevation_error_deg": (e - elevation).abs().median(),
        "elevation_error_constant_deg": (elevation - elevation.median()).abs().median(),
        "fov_error_deg": (f - fov).abs().median(),
        "fov_error_constant_deg": (fov - fov.median()).abs().median(),
    }
    return {name: round(float(value), 2) for name, value in values.items()}


def tensors(views: list[Labeled]) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures [B, 4, s, s] in [0, 1], elevations [B] and fields of view [B] in degrees."""
    pictures = torch.from_numpy(np.stack([picture for picture, _, _ in views])).permute(0, 3, 1, 2).float().div(255.0)
    angles = torch.tensor([[elevation, fov] for _, elevation, fov in views])
    return pictures.contiguous(memory_format=torch.channels_last), angles[:, 0], angles[:, 1]


def _check(
    config: ViewpointTrainConfig, folder: ObjectFolder | None, held_out: list[ObjectEntry]
) -> tuple[Tensor, Tensor, Tensor]:
    """Views of held-out objects; of the first ones of all where none is held out."""
    entries = hashed_order(held_out or (folder.entries if folder else []))
    stream = ViewpointStream(config, folder, entries, CHECK_SEED, heldout=True)
    views = [view for k in range(-(-config.n_check // GROUP)) for view in stream.group(k)]
    return tensors(views[: config.n_check])


def _mirrored(view: Labeled) -> Labeled:
    return view[0][:, ::-1], view[1], view[2]
