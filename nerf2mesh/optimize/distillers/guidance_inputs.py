"""What a distillation step asks of the prior, and what comes back.

Letters: B scenes (1 in the loop), V views, latents [B, V, c, s, s], images [B, V, h, w, 4] premultiplied RGBA.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.distill import (
    DistillConfig,
    NoiseLevel,
    from_x0,
    guidance_scale,
    guided,
    perp_neg,
    perp_neg_weights,
    rescaled,
    score_weight,
    to_epsilon,
    to_x0,
)
from nerf2mesh.priors.base import Branch, Condition, Prior
from nerf2mesh.types import Camera
from nerf2mesh.utils.device_copy import to_device
from nerf2mesh.utils.recorded import normal


@dataclass
class GuidanceInputs:
    """One step's views and noise level, with the prior at hand. Nothing here carries gradients.

    time: [B] on the CPU; in steps that are recorded on the device.
    source: images of the source object under the same cameras (DDS), else None.
    """

    prior: Prior
    condition: Condition
    config: DistillConfig
    cameras: Camera
    progress: float
    time: Tensor
    latents: Tensor
    images: Tensor
    generators: dict[str, torch.Generator]
    source: Tensor | None = None

    @cached_property
    def level(self) -> NoiseLevel:
        """The noise level at `time`."""
        return self.level_at(self.time)

    @property
    def weight(self) -> Tensor:
        """The configured w(t)."""
        return score_weight(self.config.weighting, self.level)

    def level_at(self, time: Tensor) -> NoiseLevel:
        """The prior's noise level at other times [B], on the device of the latents."""
        return self.prior.level(to_device(time, self.latents.device))

    def noise(self, stream: str = "noise") -> Tensor:
        """Fresh noise of the latents' shape, drawn on the CPU so that every device sees the same."""
        return normal(self.latents.shape, self.generators[stream], self.latents.device).to(self.latents.dtype)

    def seen_by(self, cameras: Camera) -> GuidanceInputs:
        """The same under other cameras."""
        return replace(self, cameras=cameras)

    def predict(self, noisy: Tensor, time: Tensor, *branches: Branch) -> dict[Branch, Tensor]:
        """The network's own predictions, under several branches; ValueError where one is of another shape."""
        t = to_device(time, noisy.device)
        found = self.prior.predict_branches(noisy, t, self.cameras, self.condition, branches)
        for branch, prediction in found.items():
            if prediction.shape != noisy.shape:
                raise ValueError(
                    f"prior.predict: expected a prediction of the noisy latents' shape {list(noisy.shape)}, got "
                    f"{list(prediction.shape)} ({branch}); return one value for each of them"
                )
        return found

    def epsilons(self, noisy: Tensor, time: Tensor, *branches: Branch) -> tuple[Tensor, ...]:
        """Predicted noise under each branch."""
        found, level = self.predict(noisy, time, *branches), self.level_at(time)
        return tuple(to_epsilon(self.prior.kind, found[branch], noisy, level) for branch in branches)

    def guided(self, noisy: Tensor, time: Tensor, scale: float | None = None) -> Tensor:
        """The network's prediction under the configured guidance; the free branch is the negative prompt's.

        (Without a negative prompt that is the unconditional prediction, as in diffusers.)
        """
        c = self.config
        scale = guidance_scale(c, self.progress) if scale is None else scale
        if c.perp_neg:
            found = self.predict(noisy, time, "conditional", "negative", "front", "side")
            weights = perp_neg_weights(c, self.cameras.azimuth_deg, self.cameras.elevation_deg).to(noisy)
            negatives = torch.stack([found["front"], found["side"]])
            whole = perp_neg(found["conditional"], found["negative"], negatives, weights, scale)
        elif scale == 1.0:
            return self.predict(noisy, time, "conditional")["conditional"]
        else:
            found = self.predict(noisy, time, "conditional", "negative")
            whole = guided(found["conditional"], found["negative"], scale)
        if c.guidance_rescale == 0.0:
            return whole
        if c.loss != "x0":
            return rescaled(whole, found["conditional"], c.guidance_rescale)
        return self._rescaled_x0(whole, found["conditional"], noisy, time)

    def _rescaled_x0(self, whole: Tensor, conditional: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
        """MVDream rescales the clean pictures, over all views of a scene; this is the prediction that means them."""
        kind, level = self.prior.kind, self.level_at(time)
        guided_x0, plain_x0 = (to_x0(kind, prediction, noisy, level) for prediction in (whole, conditional))
        picture = rescaled(guided_x0, plain_x0, self.config.guidance_rescale, joint=True)
        return from_x0(kind, picture, noisy, level)

    def guided_epsilon(self, noisy: Tensor, time: Tensor) -> Tensor:
        """`guided` as predicted noise, [B, V, c, s, s]."""
        return to_epsilon(self.prior.kind, self.guided(noisy, time), noisy, self.level_at(time))

    def guided_x0(self, noisy: Tensor, time: Tensor) -> Tensor:
        """`guided` as predicted clean latents, [B, V, c, s, s]."""
        return to_x0(self.prior.kind, self.guided(noisy, time), noisy, self.level_at(time))


@dataclass(frozen=True)
class LatentGradient:
    """Gradients, mean-normalized (see `distill.losses`): on the latents; on the images as decoded, where one is so."""

    latents: Tensor
    images: Tensor | None = None

    def weighted(self, weights: Tensor) -> LatentGradient:
        """The same with each view's part times its weight, [B, V]."""
        each = weights[..., None, None, None]
        return LatentGradient(self.latents * each, None if self.images is None else self.images * each)


def as_decoded(prior: Prior, images: Tensor, side: int) -> Tensor:
    """Premultiplied RGBA [B, V, h, w, 4] as `prior.decode` would show it, at `side` pixels; differentiable.

    RGBA, or RGB over the prior's background.
    """
    if not prior.has_alpha:
        behind = to_device(prior.background, images.device).to(images.dtype)
        behind = behind if behind.ndim == 1 else behind[:, None, None]
        images = images[..., :3] + (1.0 - images[..., 3:]) * behind
    if images.shape[-2] == side:
        return images
    rows = images.flatten(0, 1).movedim(-1, 1)
    resized = F.interpolate(rows, size=(side, side), mode="bilinear", antialias=True)
    return resized.movedim(1, -1).unflatten(0, images.shape[:2])


class Distiller(Protocol):
    """One loss: makes the prior's calls, and may keep a state of its own that is saved with the run's."""

    def __call__(self, inputs: GuidanceInputs) -> LatentGradient:
        """The gradient; runs without recording."""
        ...

    def learn(self, inputs: GuidanceInputs) -> dict[str, Tensor]:
        """What the loss trains beside the loop, after the field's backward pass; named losses for the log."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What is saved with the run: tensors, numbers and strings only."""
        ...

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        ...
