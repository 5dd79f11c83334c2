"""An adapter that is trained beside the loop, on the prior's network, with an optimizer of its own.

While it predicts or learns, it is active beside the adapters that the run has stacked anyway; everywhere else it is
off, so that the prior is what it was, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from nerf2mesh.distill import from_x0
from nerf2mesh.lora import adapters
from nerf2mesh.optimize.distillers.guidance_inputs import GuidanceInputs
from nerf2mesh.priors.base import Prior
from nerf2mesh.utils.device_copy import to_device
from nerf2mesh.utils.tensor_file import check_optimizer


class AdapterLearner:
    """Adapter `name` of `rank`, with AdamW's usual settings; `sees_cameras` adds the prior's camera embedding to it."""

    def __init__(
        self, prior: Prior, name: str, rank: int, rate: float, generator: torch.Generator, *, sees_cameras: bool
    ) -> None:
        self.prior, self.name = prior, name
        if name not in adapters.names(prior.network):
            adapters.attach(prior.network, name, rank)
        self.weights = self._fresh_weights(generator.initial_seed() + len(name))
        adapters.stack(prior.network, self._beside())
        if sees_cameras:
            with torch.random.fork_rng():
                torch.manual_seed(generator.initial_seed())
                prior.add_camera_embedding()
        self.embedding = prior.camera_embedding if sees_cameras else None
        self.sees_cameras = sees_cameras
        self.optimizer = torch.optim.AdamW(self._parameters(), rate)

    @contextmanager
    def active(self, *, cameras: bool = True) -> Iterator[None]:
        """Inside, the adapter is on, and predictions see the cameras if it learns them and `cameras` is true."""
        seen = self.prior.camera_conditioned() if cameras and self.sees_cameras else nullcontext()
        with adapters.using(self.prior.network, self._beside() | {self.name: 1.0}), seen:
            yield

    def train(
        self, inputs: GuidanceInputs, latents: Tensor, generator: torch.Generator, *, camera_dropout: float
    ) -> Tensor:
        """One step of denoising `latents` under the conditional prompt, at a uniform time; the loss, detached.

        The target is what the network predicts (epsilon, v, x0 or flow).
        """
        prior = self.prior
        time = torch.rand(len(latents), generator=generator).clamp(1e-3, 1.0 - 1e-3)
        noise = to_device(torch.randn(latents.shape, generator=generator), latents.device).to(latents.dtype)
        shown = bool(torch.rand((), generator=generator) >= camera_dropout)
        level = inputs.level_at(time)
        noisy = level.add(latents, noise)
        target = from_x0(prior.kind, latents, noisy, level)
        with torch.enable_grad(), self._learning(), self.active(cameras=shown):
            prediction = inputs.predict(noisy, time, "conditional")["conditional"]
            loss = (prediction.float() - target.float()).square().mean()
            loss.backward()
        assert all(p.grad is not None for p in self.weights.values()), f"adapter {self.name} got no gradients"
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and strings only."""
        embedding = {} if self.embedding is None else self.embedding.state_dict()
        return {
            "weights": {key: value.detach() for key, value in self.weights.items()},
            "embedding": dict(embedding),
            "optimizer": self.optimizer.state_dict(),
        }

    @torch.no_grad()
    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave; weights are copied in place, so the optimizer keeps its parameters."""
        check_optimizer(self.optimizer, values["optimizer"])
        for key, parameter in self.weights.items():
            if values["weights"][key].shape != parameter.shape:
                raise ValueError(f"an adapter of other shapes at {key}")
            parameter.copy_(values["weights"][key])
        if self.embedding is not None:
            self.embedding.load_state_dict(values["embedding"])
        self.optimizer.load_state_dict(values["optimizer"])

    def _fresh_weights(self, seed: int) -> dict[str, torch.nn.Parameter]:
        """The adapter's parameters by name, in float32, started anew: A as peft does, B zero."""
        network, generator = self.prior.network, torch.Generator().manual_seed(seed)
        own = {id(p) for p in adapters.train_only(network, self.name)}
        network.requires_grad_(False)
        found = {key: p for key, p in network.named_parameters() if id(p) in own}
        for key, parameter in found.items():
            fresh = torch.zeros(parameter.shape)
            if ".lora_A." in key:
                torch.nn.init.kaiming_uniform_(fresh, a=math.sqrt(5.0), generator=generator)
            parameter.data = fresh.to(parameter.device)
        return found

    def _beside(self) -> dict[str, float]:
        """The run's own stack."""
        return {name: weight for name, weight in adapters.stacked(self.prior.network).items() if name != self.name}

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [*self.weights.values(), *([] if self.embedding is None else self.embedding.parameters())]

    @contextmanager
    def _learning(self) -> Iterator[None]:
        parameters = self._parameters()
        for parameter in parameters:
            parameter.requires_grad_(True)
        try:
            yield
        finally:
            for parameter in parameters:
                parameter.requires_grad_(False)
