"""What the loop and the losses ask of a prior. A prior knows no field, and a field knows no prior.

Letters: B scenes (usually 1), V views, images [B, V, h, w, 4] premultiplied RGBA in [0, 1], latents [B, V, c, s, s].
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from nerf2mesh.distill.noise import Kind, NoiseLevel
from nerf2mesh.types import Camera, Observations

Branch = Literal["conditional", "unconditional", "negative", "front", "side", "back"]
"""Which condition a prediction is made under.

conditional: the picture or the prompt, with the view's direction where the prior is told of it by words. unconditional:
the hidden picture or the empty prompt. negative: the negative prompt; the unconditional one where there is none.
front, side, back: the prompt with that direction in all views (Perp-Neg).
"""
Condition = Any
"""Whatever `condition` made of the observations; only the prior that made it reads it."""


class Prior(Protocol):
    """A diffusion prior over views of an object."""

    kind: Kind
    """What `predict` returns."""
    image_size: int
    """Side in pixels at which the prior wants to see renderings. A prior may also have `render_px`, the smaller side at
    which they need to be rendered before they are enlarged to this; and `n_views`, how many views on a ring it wants
    together."""
    network: nn.Module
    """What LoRA adapters are attached to; frozen."""
    has_alpha: bool
    """Whether the prior knows opacity. One that does not sees its images over `background`, put in by `encode`."""
    background: Tensor
    """Color behind the images of a prior without alpha: [3], or [V, 3] for one a view; set it at any time."""
    camera_embedding: nn.Module | None
    """What `add_camera_embedding` made; None before, and always where the network knows its cameras."""

    def encode(self, images: Tensor) -> Tensor:
        """Latents of premultiplied RGBA images; differentiable."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Images of latents."""
        ...

    def level(self, t: Tensor) -> NoiseLevel:
        """alpha and sigma at t [B] in [0, 1], shaped to broadcast against latents."""
        ...

    def condition(self, observations: Observations) -> Condition:
        """What is known about the object, prepared once."""
        ...

    def predict(
        self, noisy: Tensor, t: Tensor, cameras: Camera, condition: Condition, *, branch: Branch = "conditional"
    ) -> Tensor:
        """The prediction (of `kind`) for noisy latents at t [B] seen by cameras [B, V], under one branch."""
        ...

    def add_camera_embedding(self) -> None:
        """Makes `camera_embedding`, trainable, zero at first; harmless where the network knows its cameras."""
        ...

    def camera_conditioned(self) -> AbstractContextManager[None]:
        """Inside, predictions see the cameras through `camera_embedding`; outside, the prior is what it was."""
        ...


class SeesCameras:
    """For priors whose network is told of the cameras in any case: nothing to add, nothing to switch."""

    camera_embedding: nn.Module | None = None

    def add_camera_embedding(self) -> None:
        """Nothing to add."""

    @contextmanager
    def camera_conditioned(self) -> Iterator[None]:
        """Nothing to switch."""
        yield


def predict_branches(
    prior: Prior, noisy: Tensor, t: Tensor, cameras: Camera, condition: Condition, branches: tuple[Branch, ...]
) -> dict[Branch, Tensor]:
    """`prior.predict` under several branches, in one batched forward where the prior has its own `predict_branches`.

    Equal branches are computed once; the answer's order is that of `branches`.
    """
    asked = tuple(dict.fromkeys(branches))
    batched = getattr(prior, "predict_branches", None)
    if batched is not None:
        return batched(noisy, t, cameras, condition, asked)
    return {branch: prior.predict(noisy, t, cameras, condition, branch=branch) for branch in asked}
