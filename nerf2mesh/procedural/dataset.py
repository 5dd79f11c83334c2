"""Procedural scenes as training batches: a cache of rendered shards on disk, or a stream rendered on the fly.

A batch is a dict: `rgba` uint8 [B, V, h, w, 4] (premultiplied) and the cameras as `pose` [B, V, 4, 4], `focal` [B, V]
(pixels; pixels per world unit when `orthographic` [B]). A shard holds SHARD scenes of consecutive seeds. `words` uint8
[B, 6, L] are the numbers of the captions under each order of the color channels (`captions.caption_numbers`), and
`front_deg` [B] the azimuth of the objects' fronts; both follow from the seeds and are not stored.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.procedural.captions import caption_numbers
from nerf2mesh.procedural.grammar import Drawn, ViewConfig, draw_scene, place_scenes, sample_cameras
from nerf2mesh.procedural.render import SceneRenderer
from nerf2mesh.types import Camera
from nerf2mesh.utils.atomic_write import atomic_write

SHARD = 512
VALIDATION_SEED = 1 << 30
"""Seeds from here on are never trained on."""
Batch = dict[str, Tensor]
STORED = ("rgba", "pose", "focal", "orthographic")


RECOMPILE_LIMIT, RECOMPILE_LIMIT_ALL = 64, 1024
"""Shapes for which one function, and all together, may be compiled: batches come in more shapes than torch's own limits
allow (8 and 256), and beyond those the renderer would go on uncompiled, several times slower."""


def render_seeds(seeds: range, views: ViewConfig, renderer: SceneRenderer, device: str = "cpu") -> Batch:
    """The batch of the images, cameras and captions of consecutive seeds, with the shapes in the module's docstring."""
    with many_shapes() if renderer.compiled else contextlib.nullcontext():
        drawn = [draw_scene(seed) for seed in seeds]
        scenes = place_scenes(drawn, renderer.scene_distance, device)
        cameras = sample_cameras(seeds, views).to(device)
        rgba = renderer.render(scenes, cameras)["rgba"]
    images = {
        "rgba": (rgba * 255 + 0.5).to(torch.uint8),
        "pose": cameras.camera_to_world,
        "focal": cameras.focal_px[..., 0],
        "orthographic": torch.full((len(seeds),), cameras.orthographic, device=device),
    }
    return images | {key: value.to(device) for key, value in described(drawn).items()}


def described(drawn: list[Drawn]) -> Batch:
    """`words` and `front_deg` of scenes; the front of a tumbled one, which has no words, counts as 0."""
    words = np.stack([caption_numbers(scene) for scene in drawn])
    front = np.nan_to_num([scene.front_deg for scene in drawn])
    return {"words": torch.from_numpy(words), "front_deg": torch.from_numpy(front).float()}


def many_shapes() -> contextlib.AbstractContextManager:
    """Raises torch.compile's limits on recompilation inside the block."""
    import torch._dynamo  # here, since the import takes seconds

    return torch._dynamo.config.patch(recompile_limit=RECOMPILE_LIMIT, accumulated_recompile_limit=RECOMPILE_LIMIT_ALL)


def write_shards(
    folder: Path, seeds: range, views: ViewConfig, *, compiled: bool = True, batch: int = 128, device: str = "cpu"
) -> None:
    """Renders `seeds` on `device` into `folder`, one file a shard, and prints its rate; shards that are there are kept.

    Compiling takes minutes, in the first shard; rates after it are those of the machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    renderer = SceneRenderer(compiled=compiled)
    done = 0
    for first in range(seeds.start, seeds.stop, SHARD):
        path = folder / f"shard_{views.size_px}_{views.n_views}_{first}.npz"
        if path.exists():
            continue
        began = time.perf_counter()
        pieces = [
            render_seeds(range(i, i + batch), views, renderer, device) for i in range(first, first + SHARD, batch)
        ]
        arrays = {key: torch.cat([piece[key] for piece in pieces]).cpu().numpy() for key in STORED}
        with atomic_write(path) as part, part.open("wb") as stream:
            np.savez(stream, **arrays)  # pyright: ignore[reportArgumentType]
        done += SHARD
        rate = SHARD / (time.perf_counter() - began)
        print(f"{done} scenes, {rate:.1f} scenes/s, {rate * views.n_views:.0f} pictures/s", flush=True)


class ShardedScenes:
    """Random batches from the shards of a folder, which may still be growing; held on `device` as uint8."""

    def __init__(self, folder: Path, views: ViewConfig, device: str = "cpu") -> None:
        self.device = device
        self.folder, self.pattern = Path(folder), f"shard_{views.size_px}_{views.n_views}_*.npz"
        self.shards: dict[str, Batch] = {}
        self.refresh()

    def refresh(self) -> None:
        """Reads shards that were written since the last call. Raises ValueError where there is none."""
        for path in sorted(self.folder.glob(self.pattern)):
            if path.name not in self.shards:
                self.shards[path.name] = {key: value.to(self.device) for key, value in _read_shard(path).items()}
        if not self.shards:
            raise ValueError(
                f"data.folder: expected files {self.pattern}, got none in {self.folder}; "
                "write shards first (data.n_scenes)"
            )

    def __len__(self) -> int:
        return len(self.shards) * SHARD

    def batches(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Endless random batches; each comes from one shard, so that all its cameras are of one projection or mixed."""
        while True:
            yield self.draw(size, generator)

    def draw(self, size: int, generator: torch.Generator) -> Batch:
        """One of `batches`."""
        names = sorted(self.shards)
        shard = self.shards[names[int(torch.randint(len(names), (), generator=generator))]]
        pick = torch.randint(SHARD, (size,), generator=generator).to(self.device)
        return {key: value[pick] for key, value in shard.items()}


def _read_shard(path: Path) -> Batch:
    """A shard with its captions, which are drawn anew from the seeds: the name ends with the first one."""
    with np.load(path) as arrays:
        shard = {key: torch.from_numpy(arrays[key]) for key in STORED}
    first = int(path.stem.rpartition("_")[2])
    return shard | described([draw_scene(seed) for seed in range(first, first + len(shard["pose"]))])


class StreamedScenes:
    """Fresh scenes of consecutive seeds, rendered on `device` (meant for a GPU)."""

    def __init__(self, first_seed: int, views: ViewConfig, device: str) -> None:
        self.seed, self.views, self.device = first_seed, views, device
        self.renderer = SceneRenderer(compiled=True)

    def draw(self, size: int) -> Batch:
        """The next `size` scenes."""
        seeds = range(self.seed, self.seed + size)
        self.seed += size
        return render_seeds(seeds, self.views, self.renderer, self.device)


def batch_cameras(batch: Batch) -> list[tuple[Tensor, Camera]]:
    """The cameras of a batch by projection: (scene numbers [n], cameras of batch shape [n, V])."""
    height, width = batch["rgba"].shape[2:4]
    groups = []
    for orthographic in (False, True):
        rows = torch.nonzero(batch["orthographic"] == orthographic)[:, 0]
        if len(rows):
            focal = batch["focal"][rows][..., None].expand(-1, -1, 2)
            principal = focal.new_tensor([width / 2, height / 2]).expand_as(focal)
            groups.append((rows, Camera(batch["pose"][rows], focal, principal, width, height, orthographic)))
    return groups
