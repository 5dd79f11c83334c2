"""The stream of composites: numbered groups that share a few objects, the same for a number and a seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder
from nerf2mesh.procedural.dataset import VALIDATION_SEED, render_seeds
from nerf2mesh.procedural.grammar import ViewConfig
from nerf2mesh.procedural.render import SceneRenderer
from nerf2mesh.segmentation.composites import composite
from nerf2mesh.segmentation.cutouts import Cutout, drawn_cutout, mesh_cutouts, straight

GROUP = 8
"""Composites of a group, made from three objects."""
_STREAM = 720_003


class CompositeStream:
    """Groups of composites of some meshes, of procedural scenes and of drawn shapes."""

    def __init__(
        self,
        folder: ObjectFolder | None,
        entries: Sequence[ObjectEntry],
        mesh_share: float,
        seed: int,
        *,
        heldout: bool = False,
        n_scenes: int,
    ) -> None:
        self.folder, self.entries, self.mesh_share, self.seed = folder, list(entries), mesh_share, seed
        self._broken: set[Path] = set()
        self.scenes = procedural_cutouts(VALIDATION_SEED if heldout else 0, n_scenes)

    def group(self, number: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Pictures uint8 [GROUP, s, s, 3] and masks uint8 [GROUP, s, s]."""
        rng = np.random.default_rng([self.seed, number, _STREAM])
        cutouts: list[Cutout] = []
        while len(cutouts) < 4:
            cutouts += self._object(rng)
        drawn = [composite(rng, size_px, cutouts, cutouts) for _ in range(GROUP)]
        return np.stack([picture for picture, _ in drawn]), np.stack([mask for _, mask in drawn])

    def _object(self, rng: np.random.Generator) -> list[Cutout]:
        if self.folder is not None and rng.random() < self.mesh_share:
            return self._mesh(self.folder, rng)
        if self.scenes and rng.random() < 0.5:
            first = 2 * int(rng.integers(len(self.scenes) // 2))
            return self.scenes[first : first + 2]
        return [drawn_cutout(rng), drawn_cutout(rng)]

    def _mesh(self, folder: ObjectFolder, rng: np.random.Generator) -> list[Cutout]:
        """Views of a mesh; a file that cannot be read is named once and then left out."""
        entry = self.entries[rng.integers(len(self.entries))]
        if entry.path in self._broken:
            return []
        try:
            return mesh_cutouts(folder.read(entry), rng, 2)
        except (OSError, ValueError) as error:
            self._broken.add(entry.path)
            print(f"skipped {entry.path}: {' '.join(str(error).split())}", flush=True)
            return []


def procedural_cutouts(first_seed: int, n: int) -> list[Cutout]:
    """Two views each of the procedural scenes `first_seed` ... `first_seed` + n - 1."""
    views, renderer = ViewConfig(n_views=2, size_px=128), SceneRenderer(supersample=1)
    cutouts: list[Cutout] = []
    for first in range(0, n, 32):
        seeds = range(first_seed + first, first_seed + min(first + 32, n))
        rgba = render_seeds(seeds, views, renderer)["rgba"].flatten(0, 1).numpy()
        cutouts += [straight(picture.astype(np.float32) / 255.0) for picture in rgba]
    return cutouts
