"""VSD and BSD: the prior's score less that of an adapter that learns what the renderings look like.

VSD  w(t) (e_hat - e_phi). phi is a LoRA on the prior's network, stacked on the run's own adapters, told of the cameras
     through the prior's camera embedding where the network does not know them, and predicts under the conditional
     prompt without guidance (Wang et al. 2023, arXiv 2305.16213). The authors give phi the prompt without its view
     words; here it has them.
BSD  the same with another teacher: an adapter tuned on renderings that the untuned prior has noised and denoised (Sun
     et al. 2023, arXiv 2310.16818). Theirs is tuned in a few rounds; here it learns all the time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nerf2mesh.distill import T_MIN, DistillConfig, ddim_sample, difference_gradient, ladder, to_epsilon, to_x0
from nerf2mesh.optimize.distillers.guidance_inputs import GuidanceInputs, LatentGradient
from nerf2mesh.optimize.distillers.learner import AdapterLearner
from nerf2mesh.priors.base import Prior
from nerf2mesh.types import Camera

PHI, TEACHER = "phi", "teacher"


class Variational:
    """VSD."""

    def __init__(self, prior: Prior, config: DistillConfig, generator: torch.Generator) -> None:
        self.generator = generator
        self.config = config
        self.phi = AdapterLearner(prior, PHI, config.phi_rank, config.phi_learning_rate, generator, sees_cameras=True)

    @torch.no_grad()
    def __call__(self, inputs: GuidanceInputs) -> LatentGradient:
        noisy = inputs.level.add(inputs.latents, inputs.noise())
        wanted = self.teacher_epsilon(inputs, noisy)
        with self.phi.active():
            (present,) = inputs.epsilons(noisy, inputs.time, "conditional")
        return LatentGradient(difference_gradient(wanted, present, inputs.weight))

    def teacher_epsilon(self, inputs: GuidanceInputs, noisy: Tensor) -> Tensor:
        """The noise that phi's is compared with: the prior's own under guidance, [B, V, c, s, s]."""
        return inputs.guided_epsilon(noisy, inputs.time)

    def learn(self, inputs: GuidanceInputs) -> dict[str, Tensor]:
        """`phi_steps` steps of phi on the present latents; its mean loss as distill/phi; {} where phi_steps is 0."""
        losses = [
            self.phi.train(inputs, inputs.latents, self.generator, camera_dropout=self.config.phi_camera_dropout)
            for _ in range(self.config.phi_steps)
        ]
        return {"distill/phi": torch.stack(losses).mean()} if losses else {}

    def state_dict(self) -> dict[str, Any]:
        """phi's weights, camera embedding and optimizer."""
        return {PHI: self.phi.state_dict()}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self.phi.load_state_dict(values[PHI])


class Bootstrapped(Variational):
    """BSD."""

    def __init__(self, prior: Prior, config: DistillConfig, generator: torch.Generator) -> None:
        super().__init__(prior, config, generator)
        self.teacher = AdapterLearner(
            prior, TEACHER, config.phi_rank, config.teacher_learning_rate, generator, sees_cameras=False
        )
        self.pool: list[tuple[Tensor, Camera]] = []
        self.asked = 0

    def teacher_epsilon(self, inputs: GuidanceInputs, noisy: Tensor) -> Tensor:
        """The guided noise of the prior with the tuned teacher's adapter on, [B, V, c, s, s]."""
        with self.teacher.active():
            return inputs.guided_epsilon(noisy, inputs.time)

    def learn(self, inputs: GuidanceInputs) -> dict[str, Tensor]:
        """One step of the teacher on latents drawn from the pool, then phi's; the losses of both.

        Every `teacher_every` steps the present renderings, noised and denoised, join the pool's last `teacher_pool`.
        """
        if self.asked % self.config.teacher_every == 0:
            self.pool = [*self.pool, (denoised(inputs), inputs.cameras)][-self.config.teacher_pool :]
        self.asked += 1
        which = int(torch.randint(len(self.pool), (1,), generator=self.generator))
        latents, cameras = self.pool[which]
        loss = self.teacher.train(inputs.seen_by(cameras), latents, self.generator, camera_dropout=0.0)
        return super().learn(inputs) | {"distill/teacher": loss}

    def state_dict(self) -> dict[str, Any]:
        """That of `Variational`, the teacher's, and the pool with its cameras."""
        pool = [{"latents": latents, **vars(cameras)} for latents, cameras in self.pool]
        return super().state_dict() | {TEACHER: self.teacher.state_dict(), "pool": pool, "asked": self.asked}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave; the pool moves to the device of phi."""
        super().load_state_dict(values)
        self.teacher.load_state_dict(values[TEACHER])
        device = next(iter(self.phi.weights.values())).device
        pool = [(entry["latents"], Camera(**_without(entry, "latents"))) for entry in values["pool"]]
        self.pool = [(latents.to(device), cameras.to(device)) for latents, cameras in pool]
        self.asked = values["asked"]


@torch.no_grad()
def denoised(inputs: GuidanceInputs) -> Tensor:
    """The rendering noised to the step's time and brought back by the prior: DDIM with teacher_scale."""
    c, kind = inputs.config, inputs.prior.kind
    noisy = inputs.level.add(inputs.latents, inputs.noise("phi"))
    times = ladder(inputs.time, T_MIN, c.inversion_stride)[::-1]

    def denoise(noisy: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        level = inputs.level_at(time)
        epsilon = to_epsilon(kind, inputs.guided(noisy, time, c.teacher_scale), noisy, level)
        return to_x0("epsilon", epsilon, noisy, level), epsilon

    noisy = ddim_sample(noisy, times, denoise, inputs.level_at)
    return to_x0(kind, inputs.guided(noisy, times[-1], c.teacher_scale), noisy, inputs.level_at(times[-1]))


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}
