"""Training of the segmentation network: `nerf2mesh-train-foreground data.meshes=FOLDER`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.inputs.segmentation.network import SegmentationNetwork
from nerf2mesh.inputs.segmentation.weights import read_network, write_network
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder, hashed_order, licence_summary
from nerf2mesh.objects.timed_training import TimedTraining, objects_of
from nerf2mesh.objects.view_training import training_record
from nerf2mesh.segmentation.config import ForegroundTrainConfig
from nerf2mesh.segmentation.stream import GROUP, CompositeStream

Pair = tuple[np.ndarray, np.ndarray]
"""A picture and its mask."""
NAME = "foreground.safetensors"
REPORT_EVERY = 100
CHECK_SEED = 1 << 20


def train_foreground(config: ForegroundTrainConfig) -> Path:
    """Trains for `config.minutes`, prints the held-out IoU on the way and returns the file of averaged weights."""
    torch.manual_seed(config.seed)
    folder, train, held_out = objects_of(config.data)
    stream = CompositeStream(folder, train, config.mesh_share, config.seed, n_scenes=config.n_scenes)
    check = _check_batch(config, folder, held_out)
    out = Path(config.output_dir)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(config, licence_summary(train))
    for pictures, masks in run.batches(stream):
        run.step(pictures, masks)
        if run.steps % REPORT_EVERY == 0:
            run.report(check, out)
    run.report(check, out)
    return out / NAME


class _Run(TimedTraining[SegmentationNetwork]):
    """The training, and what it has seen."""

    def __init__(self, config: ForegroundTrainConfig, meshes: list[dict[str, object]]) -> None:
        network = SegmentationNetwork(config.network)
        if config.weights is not None:
            network.load_state_dict(read_network(Path(config.weights)).state_dict())
        super().__init__(network, config, weight_decay=0.01)
        self.config, self.meshes, self.composites = config, meshes, 0

    def batches(self, stream: CompositeStream) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches until the time is over: new composites, and kept ones mirrored."""
        config, rng = self.config, np.random.default_rng([self.config.seed, 91])
        fresh = min(config.batch, max(1, round(config.new_share * config.batch)))
        new: list[Pair] = []
        kept: list[Pair] = []
        number, size = 0, 0
        while self.share < 1.0:
            wanted = _size(config, self.share)
            if wanted != size:
                new, kept, size = [], [], wanted
            count = fresh if len(kept) >= 10 * config.batch else config.batch
            while len(new) < count:
                new += list(zip(*stream.group(number, size), strict=True))
                number += 1
            taken, new = new[:count], new[count:]
            old = [_mirrored(kept[i]) for i in rng.integers(len(kept), size=config.batch - count)] if kept else []
            kept = (kept + taken)[-config.kept :]
            self.composites += count
            yield _tensors([*taken, *old])

    def step(self, pictures: Tensor, masks: Tensor) -> None:
        """One step on pictures [B, 3, s, s] and masks [B, s, s]."""
        self.descend(segmentation_loss(self.network(pictures), masks))

    def report(self, check: tuple[Tensor, Tensor], out: Path) -> None:
        """Prints and keeps the held-out IoU, and writes the weights."""
        found = iou(self.average, *check)
        median, mean = (round(float(value), 4) for value in (found.median(), found.mean()))
        line = self.line(out, composites=self.composites, median_iou=median, mean_iou=mean)
        write_network(self.average, training_record(line, self.config, self.meshes), out / NAME)


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy plus 1 - soft IoU of each picture (Rahman and Wang 2016), [B, s, s] each."""
    p = torch.sigmoid(logits)
    both, either = (p * masks).sum((-2, -1)), (p + masks - p * masks).sum((-2, -1))
    return F.binary_cross_entropy_with_logits(logits, masks) + (1.0 - (both + 1.0) / (either + 1.0)).mean()


@torch.no_grad()
def iou(network: SegmentationNetwork, pictures: Tensor, masks: Tensor) -> Tensor:
    """Of each picture's hard mask with the true one, [B]."""
    found = torch.cat([network(part) for part in pictures.split(16)]) > 0.0
    true = masks > 0.5
    return (found & true).sum((-2, -1)) / (found | true).sum((-2, -1)).clamp_min(1)


def _size(config: ForegroundTrainConfig, share: float) -> int:
    """Side of the pictures when `share` of the time is over: half the network's, three quarters, then all of it."""
    factor = 0.5 if share < config.half_share else 0.75 if share < config.small_share else 1.0
    return 16 * round(config.network.size_px * factor / 16)


def _check_batch(
    config: ForegroundTrainConfig, folder: ObjectFolder | None, held_out: list[ObjectEntry]
) -> tuple[Tensor, Tensor]:
    """Composites of held-out objects, at the network's full size."""
    entries = hashed_order(held_out)
    meshes = folder if entries else None
    stream = CompositeStream(
        meshes, entries, config.mesh_share, CHECK_SEED, heldout=True, n_scenes=config.n_scenes // 4
    )
    groups = [stream.group(k, config.network.size_px) for k in range(-(-config.n_check // GROUP))]
    pairs = [pair for pictures, masks in groups for pair in zip(pictures, masks, strict=True)]
    return _tensors(pairs[: config.n_check])


def _mirrored(pair: Pair) -> Pair:
    return pair[0][:, ::-1], pair[1][:, ::-1]


def _tensors(pairs: list[Pair]) -> tuple[Tensor, Tensor]:
    """Pictures [B, 3, s, s] and masks [B, s, s] in [0, 1]."""
    pictures = torch.from_numpy(np.stack([picture for picture, _ in pairs])).permute(0, 3, 1, 2)
    masks = torch.from_numpy(np.stack([mask for _, mask in pairs]))
    return pictures.float().div(255.0).contiguous(memory_format=torch.channels_last), masks.float().div(255.0)
