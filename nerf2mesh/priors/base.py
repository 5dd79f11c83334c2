"""What the loop and the losses ask of a prior. A prior knows no field, and a field knows no prior.

Letters: B scenes (usually 1), V views, images [B, V, h, w, 4] premultiplied RGBA in [0, 1], latents [B, V, c, s, s].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class TextChange:
    """What an adapter does to a text encoder once it is loaded; `digest` names the change in the embeddings' cache."""

    digest: str
    apply: Callable[[nn.Module], None]


class Prior(Protocol):
    """A diffusion prior over views of an object. `PriorDefaults` has what a small prior need not write itself."""

    background: Tensor
    """Color behind the images of a prior without alpha: [3], or [V, 3] for one a view; set it at any time."""

    @property
    def kind(self) -> Kind:
        """What `predict` returns."""
        ...

    @property
    def image_size(self) -> int:
        """Side in pixels of the images that `encode` takes."""
        ...

    @property
    def render_px(self) -> int:
        """Side in pixels at which views are rendered before they are enlarged to `image_size`; at most that."""
        ...

    @property
    def n_views(self) -> int:
        """How many views are denoised together; above 1 they must be evenly spaced at one elevation."""
        ...

    @property
    def follows_rendering(self) -> bool:
        """Whether `show` has to be called before predictions."""
        ...

    @property
    def has_alpha(self) -> bool:
        """Whether the prior knows opacity. One that does not sees its images over `background`, put in by `encode`."""
        ...

    @property
    def network(self) -> nn.Module:
        """What LoRA adapters are attached to; frozen."""
        ...

    @property
    def camera_embedding(self) -> nn.Module | None:
        """What `add_camera_embedding` made; None before, and always where the network knows its cameras."""
        ...

    def about(self) -> dict[str, object]:
        """Where the weights are from, their hashes and licence, as plain values for provenance.json."""
        ...

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
        """What is known about the object, prepared once.

        ValueError where the observations lack what the prior needs (a picture, a prompt).
        """
        ...

    def show(self, images: Tensor, depth: Tensor, cameras: Camera) -> None:
        """Shows the present rendering to a prior whose predictions follow it (`follows_rendering`; a ControlNet).

        images as for `encode`, depth [B, V, h, w] along the rays, cameras [B, V].
        """
        ...

    def predict(
        self, noisy: Tensor, t: Tensor, cameras: Camera, condition: Condition, *, branch: Branch = "conditional"
    ) -> Tensor:
        """The prediction (of `kind`) for noisy latents at t [B] seen by cameras [B, V], under one branch."""
        ...

    def predict_branches(
        self, noisy: Tensor, t: Tensor, cameras: Camera, condition: Condition, branches: tuple[Branch, ...]
    ) -> dict[Branch, Tensor]:
        """`predict` under several branches, in one batch where the network can; equal branches are computed once."""
        ...

    def change_text_encoder(self, part: str, adapter: str, change: TextChange) -> bool:
        """Applies `change`, in the name of an adapter, whenever text encoder `part` embeds words.

        Returns False where the prior has no text encoder of that name.
        """
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


class PriorDefaults:
    """For priors that denoise each view by itself at the size at which it is rendered, and read no words.

    What is left to write: kind, image_size, has_alpha, network, background, encode, decode, level, condition, predict;
    and the cameras, from `SeesCameras` where the network is told of them.
    """

    image_size: int
    n_views: int = 1
    follows_rendering: bool = False
    recordable: bool = False
    """Whether a prediction is work of the device alone, with nothing on the host that changes from call to call."""
    predict: Callable[..., Tensor]

    @property
    def render_px(self) -> int:
        """The images' own size."""
        return self.image_size

    def about(self) -> dict[str, object]:
        """Nothing is known of the weights."""
        return {}

    def show(self, images: Tensor, depth: Tensor, cameras: Camera) -> None:
        """The predictions follow no rendering."""

    def predict_branches(
        self, noisy: Tensor, t: Tensor, cameras: Camera, condition: Condition, branches: tuple[Branch, ...]
    ) -> dict[Branch, Tensor]:
        """One branch after the other."""
        asked = dict.fromkeys(branches)
        return {branch: self.predict(noisy, t, cameras, condition, branch=branch) for branch in asked}

    def change_text_encoder(self, part: str, adapter: str, change: TextChange) -> bool:
        """There is no text encoder."""
        return False
