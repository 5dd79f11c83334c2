"""The losses that keep nothing from step to step; equations and papers are with the pure functions in `distill`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nerf2mesh import distill
from nerf2mesh.distill import T_LAST, to_epsilon, to_flow, to_x0
from nerf2mesh.optimize.distillers.guidance_inputs import GuidanceInputs, LatentGradient, as_decoded
from nerf2mesh.priors.base import Branch
from nerf2mesh.utils.device_copy import to_device


class Stateless:
    """A `Distiller` from a function of the inputs alone."""

    def __init__(self, gradient: Callable[[GuidanceInputs], LatentGradient]) -> None:
        self.gradient = gradient

    @torch.no_grad()
    def __call__(self, inputs: GuidanceInputs) -> LatentGradient:
        return self.gradient(inputs)

    def learn(self, inputs: GuidanceInputs) -> dict[str, Tensor]:
        """Nothing is trained, nothing is logged."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Nothing to load."""


def sds(q: GuidanceInputs) -> LatentGradient:
    """The guided noise against the noise that was added; see `distill.sds_gradient`."""
    noise = q.noise()
    noise_hat = q.guided_epsilon(q.level.add(q.latents, noise), q.time)
    return LatentGradient(distill.sds_gradient(noise_hat, noise, q.level, q.config.weighting))


def sjc(q: GuidanceInputs) -> LatentGradient:
    """The latents against the guided denoised ones, in units of sigma / alpha; see `distill.sjc_gradient`."""
    x0_hat = q.guided_x0(q.level.add(q.latents, q.noise()), q.time)
    return LatentGradient(distill.sjc_gradient(x0_hat, q.latents, q.level))


def x0(q: GuidanceInputs) -> LatentGradient:
    """The latents against the guided denoised ones; see `distill.x0_gradient`."""
    x0_hat = q.guided_x0(q.level.add(q.latents, q.noise()), q.time)
    return LatentGradient(distill.x0_gradient(x0_hat, q.latents))


def csd(q: GuidanceInputs) -> LatentGradient:
    """guidance_scale is not used: the classifier score is all there is."""
    noisy = q.level.add(q.latents, q.noise())
    told, empty, negative = q.epsilons(noisy, q.time, "conditional", "unconditional", "negative")
    factors = distill.csd_factors(q.config, q.progress)
    gradient = distill.csd_gradient(told, empty, negative, factors, q.weight)
    if q.config.csd_normalize:  # the authors' grad_normalize, on sums
        gradient = gradient / (gradient.norm() + 1e-8 / gradient.numel())
    return LatentGradient(gradient)


def nfsd(q: GuidanceInputs) -> LatentGradient:
    """guidance_scale is the classifier score's factor; times below `nfsd_split` use e_u as the domain's part."""
    noisy = q.level.add(q.latents, q.noise())
    told, empty, negative = q.epsilons(noisy, q.time, "conditional", "unconditional", "negative")
    scale = distill.guidance_scale(q.config, q.progress)
    in_domain = to_device(q.time < q.config.nfsd_split, q.latents.device)
    return LatentGradient(distill.nfsd_gradient(told, empty, negative, scale, in_domain, q.weight))


def asd(q: GuidanceInputs) -> LatentGradient:
    """The reference is the conditional prediction at a noisier level of the same noise.

    How much noisier is a share of the distance to the lower bound of the times at this step, as the authors have it.
    """
    noise = q.noise()
    share = torch.rand(q.time.shape, generator=q.generators["time"])
    low, _ = distill.time_bounds(q.config, q.progress)
    later = (q.time + share * q.config.asd_shift * (q.time - low).clamp_min(0.0)).clamp(max=T_LAST)
    wanted = q.guided_epsilon(q.level.add(q.latents, noise), q.time)
    (present,) = q.epsilons(q.level_at(later).add(q.latents, noise), later, "conditional")
    return LatentGradient(distill.difference_gradient(wanted, present, q.weight))


def dds(q: GuidanceInputs) -> LatentGradient:
    """The source's prompt is the negative one, and is guided against the empty prompt like the wanted one.

    The source is encoded last: a ControlNet on lines follows what was encoded before it is asked.
    """
    assert q.source is not None, "the loop renders the source"
    noise = q.noise()
    scale = distill.guidance_scale(q.config, q.progress)

    def guided(latents: Tensor, branch: Branch) -> Tensor:
        noisy = q.level.add(latents, noise)
        found = q.predict(noisy, q.time, branch, "unconditional")
        whole = distill.guided(found[branch], found["unconditional"], scale)
        return to_epsilon(q.prior.kind, whole, noisy, q.level)

    wanted = guided(q.latents, "conditional")
    present = guided(q.prior.encode(q.source), "negative")
    return LatentGradient(distill.difference_gradient(wanted, present, q.weight))


def hifa(q: GuidanceInputs) -> LatentGradient:
    """SDS and the same pull on images, towards the decoded one, which is clamped to what a picture can show."""
    noise = q.noise()
    noisy = q.level.add(q.latents, noise)
    prediction = q.guided(noisy, q.time)
    noise_hat = to_epsilon(q.prior.kind, prediction, noisy, q.level)
    gradient = distill.sds_gradient(noise_hat, noise, q.level, q.config.weighting)
    picture = q.prior.decode(to_x0(q.prior.kind, prediction, noisy, q.level)).clamp(0.0, 1.0)
    shown = as_decoded(q.prior, q.images, picture.shape[-2])
    image_gradient = distill.hifa_image_gradient(picture, shown, q.level, q.weight)
    return LatentGradient(gradient, q.config.hifa_image_weight * image_gradient)


def rfds(q: GuidanceInputs) -> LatentGradient:
    """The guided flow against that of the noise that was added; see `distill.rfds_gradient`."""
    return _rfds(q, q.noise())


def rfds_rev(q: GuidanceInputs) -> LatentGradient:
    """`rfds` with noise corrected by one conditional prediction; see `distill.rfds_rev_noise`."""
    noise = q.noise()
    noisy = q.level.add(q.latents, noise)
    prediction = q.predict(noisy, q.time, "conditional")["conditional"]
    flow = to_flow(q.prior.kind, prediction, noisy, q.level)
    return _rfds(q, distill.rfds_rev_noise(flow, noise, q.latents, q.level))


def _rfds(q: GuidanceInputs, noise: Tensor) -> LatentGradient:
    noisy = q.level.add(q.latents, noise)
    flow_hat = to_flow(q.prior.kind, q.guided(noisy, q.time), noisy, q.level)
    return LatentGradient(distill.rfds_gradient(flow_hat, noise, q.latents))
