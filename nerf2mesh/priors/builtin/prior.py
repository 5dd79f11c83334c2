"""The built-in prior: the multi-view denoiser with the weights that come with the package.

It starts from pictures, from words of a small vocabulary (`procedural.captions`; weights trained with them), or both.

It is the default, needs no download, and is the smallest complete example of a prior. It was trained on procedural
shapes and on models under free licences by `nerf2mesh-train-prior`; `weights/` holds the file, its card, whose models
they are, and the curve.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.distill.noise import Kind, NoiseLevel
from nerf2mesh.priors.base import Branch, PriorDefaults, SeesCameras
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.network import (
    ABSENT,
    CLEAN,
    NOISY,
    MultiViewDenoiser,
    decode_rgba,
    encode_rgba,
    noise_level,
)
from nerf2mesh.priors.builtin.weight_files import read_network
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.procedural.captions import READ, unread_words, word_numbers
from nerf2mesh.report import file_facts
from nerf2mesh.types import Camera, Observations, View
from nerf2mesh.utils.precision import fast_dtype

MOST_GIVEN = 3
"""Given frames that the packaged weights were trained with, at most."""
PACKAGED = Path(__file__).parent / "weights" / "builtin-64px.safetensors"


@dataclass(frozen=True)
class GivenFrames:
    """What is known: frames, words, or both.

    images [n, W, 4, s, s] in network range and geometry [n, W]; words [n, L] and negative_words [n, L] as
    `MultiViewDenoiser.forward` takes them, None without. With words alone there is one frame, `hidden`, in front of the
    object.
    """

    images: Tensor
    geometry: FrameGeometry
    words: Tensor | None = None
    negative_words: Tensor | None = None
    hidden: bool = False


class BuiltinPrior(SeesCameras, PriorDefaults):
    """See `priors.base.Prior`. The network is frozen; adapters are added by the lora room."""

    kind: Kind = "v"
    has_alpha = True
    recordable = True

    def __init__(self, network: MultiViewDenoiser, *, precision: str = "auto", source: Path | None = None) -> None:
        self.network = network.requires_grad_(False).eval()
        self.image_size = network.config.image_size
        self.dtype = fast_dtype(precision, next(network.parameters()).device)
        self.source = source
        self.background = torch.full((3,), 0.5)

    @staticmethod
    def load(config: PriorConfig, device: str | torch.device = "cpu") -> BuiltinPrior:
        """From the packaged weights or from `config.weights`. ValueError where the file is missing, foreign or torn."""
        path = Path(config.weights).expanduser() if config.weights else PACKAGED
        network = read_network(path).to(device)
        return BuiltinPrior(network, precision=config.precision, source=path)

    @property
    def render_px(self) -> int:
        """The side of the network's finest features."""
        return self.network.config.image_size // self.network.config.patch

    def about(self) -> dict[str, object]:
        """The weight file's name, size and SHA-256."""
        return {} if self.source is None else file_facts(self.source)

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    def encode(self, images: Tensor) -> Tensor:
        """Premultiplied RGBA [B, V, s, s, 4] -> [B, V, 4, s, s] in [-1, 1], color over mid-grey; differentiable."""
        return encode_rgba(images.movedim(-1, -3))

    def decode(self, latents: Tensor) -> Tensor:
        """[B, V, 4, s, s] -> premultiplied RGBA [B, V, s, s, 4]; the inverse of `encode`."""
        return decode_rgba(latents).movedim(-3, -1)

    def level(self, t: Tensor) -> NoiseLevel:
        """alpha and sigma [B, 1, 1, 1, 1] at t [B]; see `network.noise_level`."""
        return noise_level(t.reshape(-1, 1, 1, 1, 1), self.network.config.patch)

    def condition(self, observations: Observations) -> GivenFrames:
        """The views, reduced to the prior's size, and the words; the first view fixes the azimuth in which the network
        thinks. Of more than MOST_GIVEN views those that are furthest apart. Warns of words that are not read.

        ValueError where there is no view and no word that is read.
        """
        words = self._words(observations, observations.prompt)
        negative = self._words(observations, observations.negative_prompt)
        if not observations.views:
            return self._words_alone(observations, words, negative)
        views = spread_views(observations.views, MOST_GIVEN)
        images = torch.stack([reduced_rgba(view.image, self.image_size) for view in views])
        cameras = [view.camera for view in views]
        _check_square(cameras)
        pose = torch.stack([camera.camera_to_world for camera in cameras])
        focal = torch.stack([camera.focal_px[1] / camera.height_px for camera in cameras])
        flat = torch.tensor([cameras[0].orthographic])
        geometry = FrameGeometry(*(value.to(self.device) for value in (pose[None], focal[None], flat)))
        return GivenFrames(self.encode(images[None].to(self.device)), geometry, words, negative)

    def _words_alone(self, observations: Observations, words: Tensor | None, negative: Tensor | None) -> GivenFrames:
        if not self.network.config.n_words:
            raise ValueError(
                "prior.name: expected a prior that reads words, got weights that start from a picture; add "
                "input.image=PICTURE.png, or take a prior that reads, such as prior=sd21-base (see docs/priors.md)"
            )
        if words is None:
            raise ValueError(f"input.prompt: expected words of {READ}, got {observations.prompt!r}; use some of them")
        image = torch.zeros(1, 1, 4, self.image_size, self.image_size, device=self.device)
        front = FrameGeometry.of(Camera.orbit(torch.zeros(1, 1), 10.0, width_px=self.image_size).to(self.device))
        return GivenFrames(image, front, words, negative, hidden=True)

    def _words(self, observations: Observations, prompt: str) -> Tensor | None:
        """Numbers [1, L] of the words of a prompt that are read; None where there are none. Warns of the others."""
        if not prompt.strip():
            return None
        reads = self.network.config.n_words > 0
        unread = unread_words(prompt)
        numbers = word_numbers(prompt) if reads else []
        if observations.views and not numbers:
            why = f"none of its words is known ({READ})" if reads else "these weights read no words"
            warnings.warn(f"the built-in prior goes by the picture alone, not by {prompt!r}: {why}", stacklevel=3)
        elif unread and numbers:
            warnings.warn(
                f"the built-in prior does not read {', '.join(unread)} in {prompt!r}; it knows {READ}", stacklevel=3
            )
        return torch.tensor([numbers], device=self.device) if numbers else None

    def predict(
        self, noisy: Tensor, t: Tensor, cameras: Camera, condition: GivenFrames, *, branch: Branch = "conditional"
    ) -> Tensor:
        """Velocity for noisy frames [B, V, 4, s, s] at t [B], seen by square cameras [B, V].

        "unconditional" hides the given frames and the words, "negative" too, but it has its own words. Directions are
        seen, not told: "front", "side" and "back" are "conditional".
        """
        n = noisy.shape[0]
        free = branch in ("unconditional", "negative")
        given, seen = condition.images.expand(n, -1, -1, -1, -1), FrameGeometry.of(cameras)
        geometry = FrameGeometry(
            torch.cat([condition.geometry.pose.expand(n, -1, -1, -1), seen.pose], dim=1),
            torch.cat([condition.geometry.focal.expand(n, -1), seen.focal], dim=1),
            seen.orthographic,
        )
        known = torch.full(given.shape[:2], ABSENT if free or condition.hidden else CLEAN, device=noisy.device)
        words = {"unconditional": None, "negative": condition.negative_words}.get(branch, condition.words)
        words = None if words is None else words.expand(n, -1)
        kind = torch.cat([known, torch.full(noisy.shape[:2], NOISY, device=noisy.device)], dim=1)
        level = NoiseLevel(*(value.reshape(-1) for value in (self.level(t).alpha, self.level(t).sigma)))
        with torch.autocast(noisy.device.type, self.dtype, enabled=self.dtype != torch.float32):
            frames, n_given = torch.cat([given, noisy], dim=1), given.shape[1]
            return self.network(frames, level.log_snr, kind, geometry, words, n_given=n_given)


def spread_views(views: Sequence[View], most: int) -> list[View]:
    """At most `most` of the views: the first, then again and again the one whose camera's direction from the origin is
    furthest from all chosen ones."""
    toward = F.normalize(torch.stack([view.camera.position.cpu() for view in views]), dim=-1)
    chosen = [0]
    while len(chosen) < min(most, len(views)):
        nearest = (toward @ toward[chosen].T).max(1).values
        nearest[chosen] = 2.0
        chosen.append(int(nearest.argmin()))
    return [views[k] for k in (chosen if len(views) > most else range(len(views)))]


def reduced_rgba(image: Tensor, size: int) -> Tensor:
    """A straight-alpha picture [h, w, 4] as premultiplied RGBA [size, size, 4], by area."""
    premultiplied = torch.cat([image[..., :3] * image[..., 3:], image[..., 3:]], dim=-1)
    small = F.interpolate(premultiplied.permute(2, 0, 1)[None], size=(size, size), mode="area")
    return small[0].permute(1, 2, 0)


def _check_square(cameras: list[Camera]) -> None:
    for i, camera in enumerate(cameras):
        if camera.width_px != camera.height_px:
            size = f"{camera.width_px} x {camera.height_px}"
            raise ValueError(f"observations.views[{i}]: expected a square picture, got {size} px; pad it")
    if len({camera.orthographic for camera in cameras}) > 1:
        raise ValueError("observations.views: expected one projection, got perspective and orthographic; convert one")
