"""Training the built-in prior on a folder of meshes: `nerf2mesh-train-prior data.meshes=FOLDER`."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field

from nerf2mesh.objects.config import ObjectDataConfig
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder, hashed_order, licence_summary
from nerf2mesh.objects.stream import ObjectScenes, check_batch
from nerf2mesh.priors.builtin.data import OtherScenes
from nerf2mesh.priors.builtin.train import Stopping, never, train_prior
from nerf2mesh.priors.builtin.train_config import PriorTrainConfig
from nerf2mesh.priors.builtin.train_state import TrainState


@dataclass(kw_only=True)
class MeshTrainConfig(PriorTrainConfig):
    """How the built-in prior is trained, on procedural scenes and, with `data.meshes`, on meshes."""

    data: ObjectDataConfig = field(default_factory=ObjectDataConfig)


def train_on_meshes(config: MeshTrainConfig, stopping: Stopping = lambda: nullcontext(never)) -> TrainState:
    """`train_prior` on the meshes of a folder mixed with procedural scenes; without a folder, on the latter alone."""
    return train_prior(config, object_scenes(config) if config.data.meshes is not None else None, stopping)


def object_scenes(config: MeshTrainConfig) -> OtherScenes:
    """The folder's training objects as scenes, its held-out ones as the check, and whose they are.

    Without `workers` the meshes are rasterized on the training's device.
    """
    assert config.data.meshes is not None
    folder = ObjectFolder(config.data.meshes, config.data)
    train, held_out = usable_objects(folder)
    # Other processes would need the GPU's memory each for itself.
    device = "cpu" if config.workers else config.device
    scenes = ObjectScenes(folder, train, config.views, config.data.augment, config.seed, device)
    chosen = hashed_order(held_out)[: config.data.n_check]
    check = check_batch(folder, chosen, config.views) if chosen else None
    return OtherScenes(scenes.batch, config.data.procedural_share, check, licence_summary(train))


def usable_objects(folder: ObjectFolder) -> tuple[list[ObjectEntry], list[ObjectEntry]]:
    """Training and held-out objects whose files can be read; the others are named. ValueError without training ones."""
    train, broken = folder.readable(folder.split("train"))
    held_out, more = folder.readable(folder.split("heldout"))
    broken |= more
    for path, reason in broken.items():
        print(f"skipped {path}: {reason}", flush=True)
    counts = f"{len(train)} objects to train on and {len(held_out)} held out, {len(broken)} skipped"
    print(f"{folder.folder}: {counts}", flush=True)
    if not train:
        raise ValueError(f"data.meshes: expected objects to train on in {folder.folder}, got none of {len(broken)}")
    return train, held_out
