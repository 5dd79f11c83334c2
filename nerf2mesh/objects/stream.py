"""Numbered scenes of a folder's objects, in batches as `priors.builtin.data` wants them.

Scene number i of a seed is the same whatever was drawn before it, so a continued training goes on where it stopped by
the number alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nerf2mesh.objects.config import AugmentConfig
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder
from nerf2mesh.objects.views import PLAIN, ObjectViews, draw_views
from nerf2mesh.procedural.captions import CAPTION_WORDS, CHANNEL_ORDERS
from nerf2mesh.procedural.dataset import Batch
from nerf2mesh.procedural.grammar import ViewConfig

LEAST_COVER = 0.02
"""A scene whose view 0 shows less of the object than this is drawn again."""
TRIES = 32
_STREAM, _CHECK = 550_001, 550_002


class ObjectScenes:
    """Numbered scenes of some objects of a folder; the meshes are rasterized on `device`."""

    def __init__(
        self,
        folder: ObjectFolder,
        entries: Sequence[ObjectEntry],
        views: ViewConfig,
        augment: AugmentConfig,
        seed: int,
        device: str = "cpu",
    ) -> None:
        self.folder, self.entries = folder, list(entries)
        self.views, self.augment, self.seed, self.device = views, augment, seed, device

    def scene(self, number: int) -> ObjectViews:
        """An object at random. ValueError where nothing is ever seen of them."""
        rng = np.random.default_rng([self.seed, number, _STREAM])
        for _ in range(TRIES):
            entry = self.entries[rng.integers(len(self.entries))]
            drawn = draw_views(self.folder.read(entry), rng, self.views, self.augment, self.device)
            if drawn.cover >= LEAST_COVER:
                return drawn
        raise ValueError(
            f"data.meshes: expected objects that cover {LEAST_COVER:.0%} of a picture, got none in {TRIES} draws from "
            f"{self.folder.folder}; leave out flat and thread-like ones"
        )

    def batch(self, first: int, n: int) -> Batch:
        """Scenes `first` to `first + n` - 1."""
        return as_batch([self.scene(number) for number in range(first, first + n)])


def check_batch(folder: ObjectFolder, entries: Sequence[ObjectEntry], views: ViewConfig) -> Batch:
    """The given objects themselves, one scene each, unchanged and the same every time."""
    scenes = []
    for i, entry in enumerate(entries):
        rng = np.random.default_rng([i, _CHECK])
        scenes.append(draw_views(folder.read(entry), rng, views, PLAIN))
    return as_batch(scenes)


def as_batch(scenes: Sequence[ObjectViews]) -> Batch:
    """Without words; the fronts are said to be at 0."""
    n = len(scenes)
    return {
        "rgba": torch.from_numpy(np.stack([scene.rgba for scene in scenes])),
        "given": torch.from_numpy(np.stack([scene.given for scene in scenes])),
        "pose": torch.stack([scene.camera.camera_to_world for scene in scenes]),
        "focal": torch.stack([scene.camera.focal_px[..., 0] for scene in scenes]),
        "orthographic": torch.tensor([scene.camera.orthographic for scene in scenes]),
        "words": torch.zeros(n, len(CHANNEL_ORDERS), CAPTION_WORDS, dtype=torch.uint8),
        "front_deg": torch.zeros(n),
    }
