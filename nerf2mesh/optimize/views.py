"""Where the loop looks from: distillation cameras around the object, and rays through the given pictures."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nerf2mesh.distill.config import DistillConfig
from nerf2mesh.inputs.config import DRAWINGS
from nerf2mesh.optimize.maps import GivenMaps
from nerf2mesh.types import DEFAULT_DISTANCE, DEFAULT_FOV_DEG, Camera, Observations, Rays, View
from nerf2mesh.utils.device_copy import to_device

REFERENCE_ELEVATION_DEG = 10.0
MIXED = 8
"""Given views whose rays a step mixes."""


def default_reference(size_px: int = 256) -> Camera:
    """The camera of a run without pictures: the front, as a picture is taken to be by default."""
    return Camera.orbit(
        0.0, REFERENCE_ELEVATION_DEG, distance=DEFAULT_DISTANCE, fov_deg=DEFAULT_FOV_DEG, width_px=size_px
    )


def distillation_cameras(
    config: DistillConfig, reference: Camera, size_px: int, generator: torch.Generator, *, ring: int = 0
) -> Camera:
    """Cameras [B, V] around the object, at the reference camera's distance, field of view and projection.

    Azimuths are stratified with a random turn, elevations uniform on the sphere between the configured bounds. With
    `antithetic` the second half of the views looks from behind the first (azimuth + 180 degrees, the same elevation;
    MV-SDI, Lupascu et al. 2026, arXiv 2606.29964), and only the first half is drawn. With `ring` so many views stand
    exactly evenly spaced at one elevation, in order: what priors that denoise several views together were trained on
    (MVDream, arXiv 2308.16512). Twice as many views are B = 2 rings, each with its own turn and elevation; else B is 1.
    """
    if config.antithetic and not ring:
        half = replace(config, antithetic=False, n_views=config.n_views // 2)
        first = distillation_cameras(half, reference, size_px, generator)
        both = torch.cat([first.camera_to_world, first.turned(180.0).camera_to_world], dim=1)
        twice = (first.focal_px.repeat(1, 2, 1), first.principal_px.repeat(1, 2, 1))
        return replace(first, camera_to_world=both, focal_px=twice[0], principal_px=twice[1])
    rings = config.n_views // ring if ring and config.n_views % ring == 0 else 1
    n = config.n_views // rings
    turn = torch.rand(rings, 1, generator=generator)
    turn = turn if ring else turn + torch.rand(n, generator=generator) * 0.5
    azimuth = 360.0 * (torch.arange(n) + turn) / n
    low, high = torch.deg2rad(torch.tensor(config.elevation_deg)).sin()
    height = torch.rand(rings, 1 if ring else n, generator=generator).expand(rings, n)
    elevation = torch.rad2deg(torch.asin(low + (high - low) * height))
    order = torch.arange(n) if ring else torch.randperm(n, generator=generator)
    return like_reference(reference, azimuth[:, order], elevation, size_px)


def like_reference(reference: Camera, azimuth_deg: Tensor, elevation_deg: Tensor, size_px: int) -> Camera:
    """Square cameras that look at the origin from these angles (their shape is the batch's), at the reference camera's
    distance, field of view and projection."""
    distance = reference.position.norm().cpu()
    focal = (reference.focal_px[..., 1] / reference.height_px).cpu()
    slope = 0.5 / focal / (distance if reference.orthographic else 1.0)
    fov = torch.rad2deg(2.0 * torch.atan(slope))
    return Camera.orbit(
        azimuth_deg,
        elevation_deg,
        distance=distance,
        fov_deg=fov,
        width_px=size_px,
        orthographic=reference.orthographic,
    )


class GivenPixels:
    """Random rays through the given views with the color and opacity that are wanted there; `views` may be empty."""

    def __init__(self, observations: Observations, device: torch.device) -> None:
        self.views = [view for view in observations.views if view.weight > 0]
        self.tables = [_table(view, device) for view in self.views]
        self.share = torch.tensor([view.weight for view in self.views])
        self.maps = GivenMaps(self.views, device)

    def draw(self, n: int, generator: torch.Generator) -> tuple[Rays, Tensor, bool]:
        """n rays, flat, straight-alpha RGBA targets [n, 4], and whether the colors are the object's: those of a drawing
        are its paper's.

        They pass through up to MIXED views that are alike in this, drawn by their weights, in equal parts: a step then
        does not pull the field towards one side alone. Half of the rays go to the object and its rim, half anywhere;
        within its pixel each ray passes at random, so that the mean over many steps is the antialiased picture. Pixels
        that are not `View.known` are never drawn.
        """
        first = int(torch.multinomial(self.share, 1, generator=generator))
        colored = self._is_colored(first)
        alike = torch.tensor([self._is_colored(k) == colored for k in range(len(self.views))])
        count = min(MIXED, int(alike.sum()), n)
        others = self.share * alike
        others[first] = 0.0
        chosen = [first]
        if count > 1:
            chosen += torch.multinomial(others, count - 1, generator=generator).tolist()
        parts = [self._rays(k, (n * (i + 1)) // count - (n * i) // count, generator) for i, k in enumerate(chosen)]
        origins, directions, targets = (torch.cat(part) for part in zip(*parts))
        device = targets.device
        return Rays(to_device(origins, device), to_device(directions, device)), targets, colored

    def _is_colored(self, which: int) -> bool:
        return self.views[which].domain not in DRAWINGS

    def _rays(self, which: int, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Origins and directions [n, 3] on the CPU and targets [n, 4] of one view."""
        view, (image, near, known) = self.views[which], self.tables[which]
        everywhere = torch.randint(len(image) if known is None else len(known), (n - n // 2,), generator=generator)
        everywhere = everywhere if known is None else known[everywhere]
        close = near[torch.randint(len(near), (n // 2,), generator=generator)]
        index = torch.cat([everywhere, close.cpu()])
        width = view.camera.width_px
        corner = torch.stack([index % width, index // width], dim=-1)
        pixels = corner + torch.rand(n, 2, generator=generator)
        rays = view.camera.to("cpu").rays(pixels)
        return rays.origins, rays.directions, image[to_device(index, image.device)]


def _table(view: View, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    """Pixels [h * w, 4], the numbers of those within a few pixels of the object, and of the known ones (None: all)."""
    alpha = view.image[None, None, ..., 3]
    reach = max(3, view.camera.width_px // 32) | 1
    near = torch.nn.functional.max_pool2d(alpha, reach, stride=1, padding=reach // 2).flatten() > 0.05
    known = None if view.known is None else view.known.flatten().cpu()
    near = near if known is None else near & known.to(near.device)
    if not bool(near.any()):
        raise ValueError(
            "observations: expected a view with an object, got an empty mask; choose another foreground method"
        )
    numbers = None if known is None else known.nonzero()[:, 0]
    return view.image.reshape(-1, 4).to(device), near.nonzero()[:, 0], numbers
