"""Noise schedules of published models, read from their scheduler's configuration and put on one time axis.

t in [0, 1] as everywhere (0 clean, 1 noise). A discrete schedule of N steps knows only the levels n = round(t N),
clipped to [0, N - 1]; a flow is continuous. What the network is told of the time is the schedule's affair too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from nerf2mesh.distill.noise import Kind, NoiseLevel
from nerf2mesh.utils.device_copy import to_device


class Schedule(Protocol):
    """kind of prediction, noise level at t [B] as [B, 1, 1, 1, 1], and the number that the network takes for t [B]."""

    @property
    def kind(self) -> Kind:
        """What the network predicts."""
        ...

    def level(self, t: Tensor) -> NoiseLevel:
        """alpha and sigma at t [B], as [B, 1, 1, 1, 1]."""
        ...

    def timestep(self, t: Tensor) -> Tensor:
        """The number [B] that the network is told for t [B]."""
        ...


@dataclass(frozen=True)
class DiscreteSchedule:
    """Variance preserving, from the table of cumulative alphas [N]; float32 as the schedulers of diffusers keep it.

    The network may be told of times below 0, which have the first level: SDI's authors do so.
    """

    alphas_cumprod: Tensor
    kind: Kind = "epsilon"

    def level(self, t: Tensor) -> NoiseLevel:
        """alpha and sigma of the nearest step in the table, [B, 1, 1, 1, 1]; times below 0 have the first."""
        cumulative = to_device(self.alphas_cumprod, t.device)[self.timestep(t).clamp_min(0)].reshape(-1, 1, 1, 1, 1)
        return NoiseLevel(cumulative.sqrt(), (1.0 - cumulative).sqrt())

    def timestep(self, t: Tensor) -> Tensor:
        """round(t N) as integers [B], at most N - 1; negative where t is."""
        n = len(self.alphas_cumprod)
        return (t * n).round().long().clamp(max=n - 1)


@dataclass(frozen=True)
class FlowSchedule:
    """Rectified flow with the time shift of SD3 (Esser et al. 2024, equation 23).

    sigma = shift t / (1 + (shift - 1) t). FLUX writes the same with shift = exp(mu). The network takes scale * sigma.
    """

    shift: float = 1.0
    scale: float = 1000.0
    kind: Kind = "flow"

    def sigma(self, t: Tensor) -> Tensor:
        """The shifted sigma of t, of the same shape."""
        return self.shift * t / (1.0 + (self.shift - 1.0) * t)

    def level(self, t: Tensor) -> NoiseLevel:
        """alpha = 1 - sigma and sigma at t [B], as [B, 1, 1, 1, 1]."""
        sigma = self.sigma(t).reshape(-1, 1, 1, 1, 1)
        return NoiseLevel(1.0 - sigma, sigma)

    def timestep(self, t: Tensor) -> Tensor:
        """scale * sigma, [B], not rounded."""
        return self.scale * self.sigma(t)


KINDS: dict[str, Kind] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}


def read_schedule(config: Mapping[str, Any], *, n_tokens: int = 4096, scale: float = 1000.0) -> Schedule:
    """The schedule that a scheduler_config.json describes.

    Args:
        config: its content.
        n_tokens: image tokens of the network's sequence; FLUX shifts by it.
        scale: what a flow network's time is multiplied by (FLUX takes sigma itself).

    Raises:
        ValueError: a prediction type or a parametrization that no distillation loss here is made for.
    """
    flow = config.get("use_flow_sigmas") or "FlowMatch" in str(config.get("_class_name", ""))
    if flow:
        return FlowSchedule(_flow_shift(config, n_tokens), scale)
    name = str(config.get("_class_name", ""))
    if name.startswith(_NO_TABLE):
        raise ValueError(
            f"prior.model: expected a scheduler with a table of betas or a flow, got {name}; take another model"
        )
    kind = str(config.get("prediction_type") or "epsilon")
    if kind not in KINDS:
        raise ValueError(
            f"prior.model: expected a scheduler of epsilon, v_prediction, sample or a flow, got {kind!r}; "
            "take a model that is not distilled to few steps"
        )
    from diffusers import DDPMScheduler  # pyright: ignore[reportPrivateImportUsage]

    known = {key: value for key, value in config.items() if key in _BETA_KEYS}
    return DiscreteSchedule(DDPMScheduler(**known).alphas_cumprod, KINDS[kind])


_BETA_KEYS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "rescale_betas_zero_snr",
)


_NO_TABLE = ("EDM", "CosineDPM")
"""Schedulers of networks with Karras' preconditioning (2022): their noise levels are no betas."""


def _flow_shift(config: Mapping[str, Any], n_tokens: int) -> float:
    """Of FlowMatchEuler (fixed, or growing with the sequence) or of a solver with flow sigmas."""
    if config.get("use_dynamic_shifting"):
        low, high = float(config.get("base_shift", 0.5)), float(config.get("max_shift", 1.15))
        first, last = int(config.get("base_image_seq_len", 256)), int(config.get("max_image_seq_len", 4096))
        return math.exp(low + (high - low) * (n_tokens - first) / (last - first))
    return float(config.get("flow_shift", config.get("shift", 1.0)))


def expanded_time(timestep: Tensor, n_views: int, n_branches: int) -> Tensor:
    """Timesteps [B] for rows ordered branch, scene, view."""
    return torch.repeat_interleave(timestep, n_views).repeat(n_branches)
