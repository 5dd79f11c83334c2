"""The objective's terms, as scalars of renderings: each a mean with a weight from the configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.distill import draw_time
from nerf2mesh.distill.config import DistillConfig
from nerf2mesh.fields import HashGridField
from nerf2mesh.optimize.config import OptimizeConfig
from nerf2mesh.optimize.distillers import Distiller, GuidanceInputs, LatentGradient, as_decoded
from nerf2mesh.optimize.finish import Finishes
from nerf2mesh.priors.base import Condition, Prior
from nerf2mesh.render import regularizers as reg
from nerf2mesh.types import Camera, Rays, Rendering
from nerf2mesh.utils.device_copy import AsyncReadback, to_device

Numbers = dict[str, float]
Measured = dict[str, Tensor | float]
"""Numbers that may still be on the device."""


class Gathering:
    """A step's numbers on their way to the host, in one transfer; `numbers` waits until they are there."""

    def __init__(self, measured: Measured) -> None:
        self.measured = measured
        on_device = {name: value for name, value in measured.items() if isinstance(value, Tensor)}
        self._names = list(on_device)
        values = [value.detach().double().reshape(()) for value in on_device.values()]
        self._values = AsyncReadback(torch.stack(values)) if values else None

    def numbers(self) -> Numbers:
        """All numbers as floats, under their names; waits for those that are on the way."""
        values = self._values.tolist() if self._values else []
        return cast(Numbers, self.measured | dict(zip(self._names, values, strict=True)))


def gathered(measured: Measured) -> Numbers:
    """All as floats, at once."""
    return Gathering(measured).numbers()


def check_gradient(found: object, latents: Tensor) -> None:
    """ValueError where a loss of the caller's own gave no gradient of the latents' shape."""
    if not isinstance(found, LatentGradient):
        raise ValueError(
            f"loss: expected a LatentGradient, got {type(found).__name__}; return LatentGradient(gradient)"
        )
    if found.latents.shape != latents.shape:
        raise ValueError(
            f"loss: expected a gradient of the latents' shape {list(latents.shape)}, got {list(found.latents.shape)}; "
            "return one number for each latent"
        )


@dataclass
class Distillation:
    """One distillation step as an objective on a rendering; `numbers` is filled when it is called.

    keep [V, s, s] scales the gradient of each pixel (masked SDS), view_weights [B, V] that of each view; source: the
    source object's rendering of the same rays (DDS). time [1]: of the noise level; None: it is drawn when it is needed.
    """

    prior: Prior
    condition: Condition
    config: DistillConfig
    distiller: Distiller
    cameras: Camera
    progress: float
    weight: float
    generators: dict[str, torch.Generator]
    keep: Callable[[Rendering], Tensor] | None = None
    view_weights: Tensor | None = None
    source: Rendering | None = None
    time: Tensor | None = None
    numbers: Measured = field(default_factory=dict)
    inputs: GuidanceInputs | None = None

    def __call__(self, rendering: Rendering) -> Tensor:
        """A scalar whose gradient on the rendering is the distillation gradient pulled back through `encode`."""
        if self.weight == 0:
            self.numbers |= {"distill/gradient": 0.0, "distill/t": 0.0}
            return rendering.opacity.sum() * 0.0
        images = self.as_images(rendering)
        latents = self.prior.encode(images)
        if self.prior.follows_rendering:
            self.prior.show(images, self._depth(rendering, images), self.cameras)
        self.inputs = self._inputs(images, latents)
        found = self.distiller(self.inputs)
        check_gradient(found, latents)
        if self.view_weights is not None:
            found = found.weighted(to_device(self.view_weights, latents.device))
        gradient = found.latents if self.keep is None else found.latents * self._kept(rendering, latents)
        self.numbers["distill/gradient"] = gradient.norm() * latents.numel() ** 0.5
        total = (latents * gradient).sum()
        if found.images is not None:
            total = total + (as_decoded(self.prior, images, found.images.shape[-2]) * found.images).sum()
        return self.weight * total

    def learn(self) -> None:
        """What the loss trains beside the field; after the field's backward pass, when its memory is free again."""
        if self.inputs is not None:
            self.numbers |= self.distiller.learn(self.inputs)

    def as_images(self, rendering: Rendering) -> Tensor:
        """Premultiplied RGBA [B, V, s, s, 4] of the cameras [B, V] from the supersampled rays."""
        wanted, factor = self.prior.image_size, self.config.supersample
        side = self.config.side_px(self.prior)
        rgba = rendering.rgba.reshape(-1, side * factor, side * factor, 4).permute(0, 3, 1, 2)
        rgba = F.avg_pool2d(rgba, factor)
        if side != wanted:
            rgba = F.interpolate(rgba, size=(wanted, wanted), mode="bilinear", antialias=side > wanted)
        return rgba.permute(0, 2, 3, 1).unflatten(0, self.cameras.batch_shape)

    @torch.no_grad()
    def _depth(self, rendering: Rendering, images: Tensor) -> Tensor:
        """Along the ray [B, V, s, s], at the images' size."""
        far = (rendering.depth * rendering.opacity)[..., None].expand_as(rendering.rgb)
        return self.as_images(replace(rendering, rgb=far))[..., 0] / images[..., 3].clamp_min(1e-6)

    def _inputs(self, images: Tensor, latents: Tensor) -> GuidanceInputs:
        time = self.time
        if time is None:
            time = draw_time(self.config, self.progress, 1, self.generators["time"])
            self.numbers["distill/t"] = float(time)
        time = time.expand(len(latents))
        return GuidanceInputs(
            self.prior,
            self.condition,
            self.config,
            self.cameras,
            self.progress,
            time,
            latents.detach(),
            images.detach(),
            self.generators,
            None if self.source is None else self.as_images(self.source),
        )

    @torch.no_grad()
    def _kept(self, rendering: Rendering, latents: Tensor) -> Tensor:
        """`keep` at the latents' size."""
        assert self.keep is not None
        kept = F.interpolate(self.keep(rendering)[:, None], size=latents.shape[-2:], mode="area")
        self.numbers["distill/kept"] = kept.mean()
        return kept.unflatten(0, self.cameras.batch_shape)


def finish_term(weight: float, finishes: Finishes, rendering: Rendering, colors: Tensor | None = None) -> Tensor:
    """Roughness and metallic of rays [n] drawn to those of `colors` [n, 3], by default the rendering's own; 0 for a
    field without them."""
    if weight == 0.0 or "surface" not in rendering.extra:
        return rendering.opacity.sum() * 0.0
    opacity = rendering.opacity.detach()[..., None]
    if colors is None:
        colors = rendering.rgb.detach() / opacity.clamp_min(1e-4)
    difference = rendering.extra["surface"] - finishes.at(colors) * opacity
    return weight * difference.square().mean()


@dataclass
class Photometric:
    """Color and mask error at rays of the given pictures. target [n, 4] is straight-alpha RGBA; without `colored` its
    colors are measured, but nothing follows from them."""

    config: OptimizeConfig
    target: Tensor
    background: Tensor
    colored: bool = True
    numbers: Measured = field(default_factory=dict)

    def __call__(self, rendering: Rendering) -> Tensor:
        rgb, alpha = self.target[:, :3], self.target[:, 3]
        wanted = rgb * alpha[:, None] + (1 - alpha[:, None]) * self.background
        color = (rendering.over(self.background) - wanted).square().mean()
        mask = (rendering.opacity - alpha).square().mean()
        self.numbers |= {"loss/color": color.detach(), "loss/mask": mask.detach()}
        weight = self.config.weight_color if self.colored else 0.0
        return weight * color + self.config.weight_mask * mask


def ray_terms(config: OptimizeConfig, factors: dict[str, float], progress: float) -> Callable[[Rendering], Tensor]:
    """Terms of whole rays: sparsity, entropy (from `entropy_from` on), distortion."""
    entropy = config.weight_entropy * factors.get("entropy", 1.0) * (1.0 if progress > config.entropy_from else 0.0)
    sparsity = config.weight_sparsity + factors.get("sparsity", 0.0)

    def terms(rendering: Rendering) -> Tensor:
        total = config.weight_distortion * reg.distortion(rendering.extra["distortion"])
        if entropy:
            total = total + entropy * reg.opacity_entropy(rendering.opacity)
        if sparsity:
            total = total + sparsity * reg.sparsity(rendering.opacity)
        return total

    return terms


def sample_terms(
    config: OptimizeConfig, field: HashGridField, rays: Rays, generator: torch.Generator
) -> Callable[[Rendering], Tensor] | None:
    """Terms of normals at samples drawn by weight: orientation and smoothness; None where both are off."""
    if config.weight_orientation == 0 and config.weight_smoothness == 0:
        return None

    def terms(rendering: Rendering) -> Tensor:
        found = reg.surface_terms(
            field,
            rays,
            rendering,
            n_points=config.regularizer_samples,
            jitter_std=config.smoothness_std,
            mode="finite_difference",
            generator=generator,
        )
        return config.weight_orientation * found["orientation"] + config.weight_smoothness * found["smoothness"]

    return terms
