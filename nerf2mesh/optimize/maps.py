"""Rays through the pixels whose depth or normal is given, and the terms that compare them with the rendering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nerf2mesh.optimize.config import OptimizeConfig
from nerf2mesh.optimize.map_losses import aligned, depth_loss, normal_loss, relative_loss
from nerf2mesh.types import Rays, Rendering, View
from nerf2mesh.utils.device_copy import to_device

LEAST_OPACITY = 0.5
"""Rays that show less have no depth to speak of."""


@dataclass(frozen=True)
class MapTargets:
    """What one view's maps say at n rays: depth [n] and its kind, normal [n, 3], each with its weights [n] (0 where it
    is not known); `to_axis` [n] turns a distance along the ray into the one that the map measures."""

    depth: Tensor | None
    depth_weight: Tensor | None
    kind: str
    to_axis: Tensor | None
    normal: Tensor | None
    normal_weight: Tensor | None


class GivenMaps:
    """The views that come with a depth or normal map; `views` may be empty."""

    def __init__(self, views: Sequence[View], device: torch.device) -> None:
        self.views = [view for view in views if view.weight > 0 and view.maps]
        self.device = device
        self.share = torch.tensor([view.weight for view in self.views])
        self.pixels = [known_pixels(view).nonzero()[:, 0] for view in self.views]

    def draw(self, n: int, generator: torch.Generator) -> tuple[Rays, MapTargets]:
        """n flat rays through known pixels of one view, drawn by weight: scale and shift are a view's own."""
        which = int(torch.multinomial(self.share, 1, generator=generator))
        view, pixels = self.views[which], self.pixels[which]
        index = pixels[torch.randint(len(pixels), (n,), generator=generator)]
        width = view.camera.width_px
        corner = torch.stack([index % width, index // width], dim=-1)
        rays = view.camera.to("cpu").rays(corner + torch.rand(n, 2, generator=generator))
        targets = self._targets(view, index, rays)
        return Rays(to_device(rays.origins, self.device), to_device(rays.directions, self.device)), targets

    def _targets(self, view: View, index: Tensor, rays: Rays) -> MapTargets:
        depth = weight = to_axis = normal = normal_weight = None
        kind = "world"
        if view.depth is not None:
            kind = view.depth.kind
            depth = self._at(view.depth.values, index)
            weight = self._at(view.depth.known, index).to(depth.dtype)
            forward = -view.camera.camera_to_world[:3, 2].cpu()
            to_axis = to_device(rays.directions @ forward, self.device) if view.depth.along_axis else None
        if view.normal is not None:
            normal = self._at(view.normal, index)
            normal_weight = (normal.square().sum(-1) > 0.5).to(normal.dtype)
        return MapTargets(depth, weight, kind, to_axis, normal, normal_weight)

    def _at(self, values: Tensor, index: Tensor) -> Tensor:
        return to_device(values.cpu().flatten(0, 1)[index], self.device)


def known_pixels(view: View) -> Tensor:
    """Which pixels [h * w] of the object have a depth or a normal."""
    found = torch.zeros(view.image.shape[:2], dtype=torch.bool)
    if view.depth is not None:
        found |= view.depth.known.cpu()
    if view.normal is not None:
        found |= view.normal.cpu().square().sum(-1) > 0.5
    return found.flatten()


@dataclass
class MapTerms:
    """The objective of given maps; rays that show little of anything do not count. `numbers` is filled by a call."""

    config: OptimizeConfig
    targets: MapTargets
    numbers: dict[str, Tensor | float] = field(default_factory=dict[str, Tensor | float])

    @property
    def wants_normals(self) -> bool:
        """Whether the rendering needs normals."""
        return self.targets.normal is not None and self.config.weight_normal > 0

    def __call__(self, rendering: Rendering) -> Tensor:
        shown = rendering.opacity.detach()
        shown = shown * (shown > LEAST_OPACITY)
        total = rendering.opacity.sum() * 0.0
        if self.targets.depth is not None:
            total = total + self._depth(rendering.depth, shown)
        if self.wants_normals:
            assert self.targets.normal is not None and self.targets.normal_weight is not None
            assert rendering.normal is not None
            loss = normal_loss(rendering.normal, self.targets.normal, shown * self.targets.normal_weight)
            self.numbers["loss/normal"] = loss.detach()
            total = total + self.config.weight_normal * loss
        return total

    def _depth(self, along_ray: Tensor, shown: Tensor) -> Tensor:
        t = self.targets
        assert t.depth is not None and t.depth_weight is not None
        p = along_ray if t.to_axis is None else along_ray * t.to_axis
        w = shown * t.depth_weight
        relative = relative_loss(p, t.depth, w, t.kind)
        apart = depth_loss(p, aligned(p, t.depth, w, t.kind), w)
        self.numbers |= {"loss/depth_rel": relative.detach(), "loss/depth": apart.detach()}
        return self.config.weight_depth_rel * relative + self.config.weight_depth * apart
