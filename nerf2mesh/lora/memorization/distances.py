"""How far objects lie apart: silhouettes and colors of the same views.

An object is known by views from its own cameras. To compare it with an item that has other cameras, the colored shell
of its hull is drawn from the item's cameras, and its mirror image too, since training mirrors: the nearer one counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.lora.hull import Shell, draw
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.types import Camera

SIZE_PX = 32
"""Views are compared at this size: a shell has no finer detail."""


@dataclass(frozen=True)
class Distance:
    """Of an object to a training item, means over the item's views; the sum counts."""

    silhouette: float
    """1 - intersection over union of the opacities."""
    color: float
    """Mean absolute difference of RGB where both are, 1 where they never meet."""
    item: int
    mirrored: bool

    @property
    def total(self) -> float:
        """What is compared with the threshold."""
        return self.silhouette + self.color


def views_of(frames: Frames, scene: int, size: int, most: int = 12) -> tuple[Tensor, Camera]:
    """The views of one scene without its picture (frame 0), different ones, at most `most`: premultiplied RGBA
    [V, 4, size, size] in [0, 1], and their cameras."""
    images, geometry = frames.images[scene, 1:], frames.geometry
    first: dict[bytes, int] = {}
    for k, pose in enumerate(geometry.pose[scene, 1:]):
        first.setdefault(pose.numpy().tobytes(), k)
    chosen = [*first.values()][:most]
    scale = 255.0 if images.dtype.is_floating_point is False else 1.0
    small = F.interpolate(images[chosen].float() / scale, size=(size, size), mode="area")
    focal = (geometry.focal[scene, 1:][chosen] * size)[:, None].expand(-1, 2)
    middle = focal.new_full(focal.shape, 0.5 * size)
    flat = bool(geometry.orthographic[scene])
    return small, Camera(geometry.pose[scene, 1:][chosen], focal, middle, size, size, flat)


def nearest(shell: Shell, items: Sequence[tuple[Tensor, Camera]]) -> list[Distance]:
    """Distances to all items (as `views_of` gives them at SIZE_PX), the nearest first."""
    found = []
    for number, (images, cameras) in enumerate(items):
        both = [
            Distance(*apart(draw(shape, cameras), images), number, shape is not shell)
            for shape in (shell, shell.mirrored())
        ]
        found.append(min(both, key=lambda distance: distance.total))
    return sorted(found, key=lambda distance: distance.total)


def apart(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Silhouette and color distance of two stacks of premultiplied views [V, 4, s, s]."""
    low, high = (pick(a[:, 3], b[:, 3]).flatten(1).sum(1) for pick in (_min, _max))
    silhouette = 1.0 - (low / high.clamp_min(1e-6))
    weight = _min(a[:, 3], b[:, 3])
    straight = [image[:, :3] / image[:, 3:].clamp_min(1e-3) for image in (a, b)]
    difference = ((straight[0] - straight[1]).abs().mean(1) * weight).flatten(1).sum(1)
    color = difference / low.clamp_min(1e-6)
    color = color.where(low > 1e-3, color.new_ones(()))
    return float(silhouette.mean()), float(color.mean())


def _min(a: Tensor, b: Tensor) -> Tensor:
    return a.minimum(b)


def _max(a: Tensor, b: Tensor) -> Tensor:
    return a.maximum(b)
