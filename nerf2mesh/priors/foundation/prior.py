"""What the priors made of diffusers' components share: the way in and out, the words, branches in one batch, cameras.

Rows: a network sees [N, c, s, s] with N = branches x scenes x views in that order; what else a row is told lies in a
dict of tensors [N, ...]. A family says how rows are filled and how its network is called; see `latent`, `flow`,
`pixel`, `zero123`, `multiview`.

Letters: B scenes, V views; images [B, V, h, w, 4] premultiplied RGBA, latents [B, V, c, s, s] float32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from nerf2mesh.distill.noise import Kind, NoiseLevel
from nerf2mesh.priors.base import Branch, TextChange
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.priors.foundation import prompts, text
from nerf2mesh.priors.foundation.camera_embedding import CameraEmbedding, PoseHook, pose_numbers
from nerf2mesh.priors.foundation.components import Components
from nerf2mesh.priors.foundation.pictures import over, resized
from nerf2mesh.priors.foundation.resolve import Source
from nerf2mesh.priors.foundation.schedule import Schedule, expanded_time, read_schedule
from nerf2mesh.priors.foundation.text import Embedding, Encoder
from nerf2mesh.types import Camera, Observations
from nerf2mesh.utils.device_copy import to_device
from nerf2mesh.utils.precision import dtype_name, fast_dtype

Rows = dict[str, Tensor]


@dataclass(frozen=True)
class FoundationCondition:
    """text: embeddings by prompt key (see `prompts`). picture: what the family made of the reference view."""

    text: Mapping[str, Embedding] = field(default_factory=dict)
    picture: Mapping[str, Tensor] = field(default_factory=dict)
    reference: Camera | None = None

    @property
    def given_camera(self) -> Camera:
        """The reference view's; asked for by priors that start from a picture alone."""
        assert self.reference is not None, "a prior that starts from a picture has a reference view"
        return self.reference


class FoundationPrior(ABC):
    """See `priors.base.Prior`. The network is frozen; text encoders are gone once `condition` has returned."""

    has_alpha = False
    n_views = 1
    follows_rendering = False
    network_name = "unet"
    encoders: tuple[Encoder, ...] = ()
    default_background = 0.5
    needs_words = True
    shown: Tensor | None = None
    """What a ControlNet follows: pictures [B V, 3, s, s] of the present rendering."""

    def __init__(self, source: Source, config: PriorConfig, device: str | torch.device = "cpu") -> None:
        self.dtype = fast_dtype(config.precision, device)
        config = replace(config, precision=dtype_name(self.dtype))
        self.source, self.config, self.family = source, config, source.family
        self.components: Components = source.components
        # Any: modules of diffusers, whose attributes are known at run time only.
        self.network: Any = self._load_network().to(device)
        self.vae: Any = self._load_vae()
        if self.vae is not None:
            self.vae = self.vae.to(device)
        self.network_size = config.network_resolution or self._trained_size()
        self.image_size = config.resolution or self.network_size
        self.schedule: Schedule = self._read_schedule()
        grey = self.default_background if config.background is None else config.background
        self.background = torch.full((3,), grey)
        self.text_changes: dict[str, dict[str, TextChange]] = {}
        """By text encoder and by adapter: done to the encoder whenever words are embedded."""
        self.pose = PoseHook()
        self._prepare_checkpointing()

    def about(self) -> dict[str, object]:
        """Where the model is from, its licence, and a SHA-256 of each part."""
        cache = text.cache_folder(self.config.cache_dir)
        parts = [name for name in self.components.index if self.components.has(name)]
        found: dict[str, object] = {"model": self.source.origin, "family": self.family, "licence": self.source.licence}
        return found | {"sha256": text.digests(self.components, parts, cache)}

    @property
    def kind(self) -> Kind:
        """What the network predicts, as its scheduler's configuration says."""
        return self.schedule.kind

    @property
    def render_px(self) -> int:
        """The images' own size."""
        return self.image_size

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    def level(self, t: Tensor) -> NoiseLevel:
        """alpha and sigma at t [B], as [B, 1, 1, 1, 1]."""
        return self.schedule.level(t)

    def encode(self, images: Tensor) -> Tensor:
        """Latents of images [B, V, h, w, 4] over the background, at the network's size; differentiable.

        The mean of the VAE's posterior is taken, so that nothing here is random.
        """
        b, v = images.shape[:2]
        rgb = self.over_background(images).flatten(0, 1)
        self._see(images)
        rows = resized(rgb.permute(0, 3, 1, 2), self.network_size)
        return self._encode_rows(rows * 2.0 - 1.0).unflatten(0, (b, v))

    def decode(self, latents: Tensor) -> Tensor:
        """RGB images [B, V, h, w, 3] in about [0, 1] (not clamped) at the network's size."""
        b, v = latents.shape[:2]
        rgb = self._decode_rows(latents.flatten(0, 1)) * 0.5 + 0.5
        return rgb.permute(0, 2, 3, 1).unflatten(0, (b, v))

    def show(self, images: Tensor, depth: Tensor | None = None, cameras: Camera | None = None) -> None:  # noqa: B027
        """See `priors.base.Prior`; by default predictions follow no rendering."""

    def over_background(self, images: Tensor) -> Tensor:
        """[B, V, h, w, 3] from premultiplied RGBA; RGB comes back as it is."""
        return over(images, self.background)

    def condition(self, observations: Observations) -> FoundationCondition:
        """The prompt's embeddings and what the reference view gives; done once, the text encoders are let go.

        Raises:
            ValueError: the prior is steered by words and there are none, or needs a picture and has none.
        """
        if self.needs_words and not observations.prompt.strip():
            raise ValueError(
                f"input.prompt: expected words for the prior {self.family}, got none; add input.prompt='a ...'"
            )
        reference = observations.views[0].camera if observations.views else None
        return FoundationCondition(self._embed(observations), self._picture(observations), reference)

    def predict(
        self,
        noisy: Tensor,
        t: Tensor,
        cameras: Camera,
        condition: FoundationCondition,
        *,
        branch: Branch = "conditional",
    ) -> Tensor:
        """The network's prediction, float32 [B, V, c, s, s], for noisy latents at t [B] seen by cameras [B, V]."""
        return self.predict_branches(noisy, t, cameras, condition, (branch,))[branch]

    def predict_branches(
        self,
        noisy: Tensor,
        t: Tensor,
        cameras: Camera,
        condition: FoundationCondition,
        branches: tuple[Branch, ...],
    ) -> dict[Branch, Tensor]:
        """All branches as rows of one forward (of several, with `rows_per_forward`)."""
        branches = tuple(dict.fromkeys(branches))
        b, v = noisy.shape[:2]
        filled = [self._rows(condition, cameras, branch) for branch in branches]
        rows = {key: torch.cat([row[key] for row in filled]) for key in filled[0]}
        rows["pose"] = pose_numbers(cameras).to(noisy.device).repeat(len(branches), 1)
        x = noisy.flatten(0, 1).repeat(len(branches), 1, 1, 1).to(self.dtype)
        time = expanded_time(self.schedule.timestep(t.to(noisy.device)), v, len(branches))
        out = torch.cat([self._forward_part(x, time, rows, part) for part in self._parts(len(x), v)])
        return dict(zip(branches, out.float().unflatten(0, (len(branches), b, v)).unbind(0)))

    def change_text_encoder(self, part: str, adapter: str, change: TextChange) -> bool:
        """Kept in `text_changes` until words are embedded; False where no encoder of the prior has that name."""
        if part not in [encoder.name for encoder in self.encoders]:
            return False
        self.text_changes.setdefault(part, {})[adapter] = change
        return True

    @property
    def camera_embedding(self) -> CameraEmbedding | None:
        """What `add_camera_embedding` made; None before."""
        return self.pose.embedding

    def add_camera_embedding(self) -> None:
        """A trainable embedding of the pose, zero at first, added to that of the time; see `camera_embedding`."""
        self.pose.attach(self.network)

    def camera_conditioned(self) -> AbstractContextManager[None]:
        """Inside, predictions are told of the cameras."""
        return self.pose.told()

    # What families fill in.

    @abstractmethod
    def _forward(self, x: Tensor, time: Tensor, rows: Rows) -> Tensor:
        """The network's output [n, c, s, s] for latents x [n, c, s, s] and its own number of the time [n]."""

    def _picture(self, observations: Observations) -> dict[str, Tensor]:
        """Of the reference view; by default nothing."""
        return {}

    def _see(self, images: Tensor) -> None:  # noqa: B027 (most families do not look)
        """Called with the images that `encode` was given."""

    def _rows(self, condition: FoundationCondition, cameras: Camera, branch: Branch) -> Rows:
        """By default the embeddings of the words that each camera is told."""
        if branch == "conditional" and self.config.view_prompts:  # looked up on the device: nothing is read back
            texts = [condition.text[key] for key in prompts.DIRECTIONS]
            told = to_device(
                prompts.direction_index(cameras, self.config.view_half_deg), next(iter(texts[0].values())).device
            )
            return {name: torch.stack([text[name] for text in texts]).index_select(0, told) for name in texts[0]}
        told = prompts.keys(branch, cameras, self.config.view_prompts, self.config.view_half_deg)
        names = condition.text[told[0]].keys()
        return {name: torch.stack([condition.text[key][name] for key in told]) for name in names}

    def _load_network(self) -> nn.Module:
        return self.components.load(self.network_name, self.dtype)

    def _load_vae(self) -> nn.Module | None:
        """In float32 where the VAE says that float16 is too small for it."""
        config = self.components.config("vae")
        if config.get("latents_mean") is not None:
            raise ValueError(
                f"prior.model: expected a VAE with one scaling_factor, got {self.source.origin}, which scales "
                "channel by channel (latents_mean); take another model"
            )
        upcast = self.dtype == torch.float16 and config.get("force_upcast", True)
        return self.components.load("vae", torch.float32 if upcast else self.dtype)

    def _trained_size(self) -> int:
        return int(self.components.config(self.network_name).get("sample_size") or 64) * self.shrink

    def _read_schedule(self) -> Schedule:
        return read_schedule(self.components.config("scheduler"))

    # Shared workings.

    @property
    def shrink(self) -> int:
        """Pixels a side for one latent."""
        if self.vae is None:
            return 1
        sizes = self.vae.config.get("block_out_channels") or self.vae.config["encoder_block_out_channels"]
        return 2 ** (len(sizes) - 1)

    def _encode_rows(self, rgb: Tensor) -> Tensor:
        """[n, 3, h, w] in [-1, 1] -> [n, c, s, s]; one picture at a time, which is what bounds the memory."""
        config, dtype = self.vae.config, next(self.vae.parameters()).dtype
        means = [self._mean(image[None].to(dtype)) for image in rgb]
        return (torch.cat(means).float() - (config.get("shift_factor") or 0.0)) * config["scaling_factor"]

    def _mean(self, image: Tensor) -> Tensor:
        return self.vae.encode(image).latent_dist.mode()

    def _decode_rows(self, latents: Tensor) -> Tensor:
        config, dtype = self.vae.config, next(self.vae.parameters()).dtype
        unscaled = latents / config["scaling_factor"] + (config.get("shift_factor") or 0.0)
        return self.vae.decode(unscaled.to(dtype)).sample.float()

    def _embed(self, observations: Observations) -> dict[str, Embedding]:
        """Every prompt that any branch may ask for, by all encoders; parts of one prompt joined by `_join`."""
        words = prompts.view_prompts(observations.prompt)
        words |= {prompts.UNCONDITIONAL: "", prompts.NEGATIVE: observations.negative_prompt}
        cache = text.cache_folder(self.config.cache_dir)
        by_encoder = []
        for encoder in self._used_encoders():
            settings = {"device": str(self.device), "precision": self.words_precision, "cache": cache}
            changes = tuple(self.text_changes.get(encoder.name, {}).values())
            by_encoder.append(text.embed(self.components, encoder, list(words.values()), changes=changes, **settings))
        joined = {key: self._join([found[i] for found in by_encoder], key) for i, key in enumerate(words)}
        if not observations.negative_prompt.strip():  # SDXL's empty prompt is not the encoding of ""
            joined[prompts.NEGATIVE] = joined[prompts.UNCONDITIONAL]
        return joined

    @property
    def words_precision(self) -> str:
        """Of the text encoders."""
        return self.config.precision

    def _used_encoders(self) -> tuple[Encoder, ...]:
        return self.encoders

    def _join(self, parts: list[Embedding], key: str) -> Embedding:
        """One prompt's embedding from those of the encoders; by default there is one."""
        return parts[0]

    def _parts(self, n_rows: int, n_views: int) -> list[slice]:
        """Which rows go through the network together."""
        size = self.config.rows_per_forward or n_rows
        return [slice(i, i + size) for i in range(0, n_rows, size)]

    def _forward_part(self, x: Tensor, time: Tensor, rows: Rows, part: slice) -> Tensor:
        told = {key: value[part] for key, value in rows.items()}
        self.pose.numbers = told.pop("pose")
        return self._forward(x[part], time[part], told)

    def _prepare_checkpointing(self) -> None:
        if not self.config.checkpointing:
            return
        for module in (self.network, self.vae):
            if getattr(module, "_supports_gradient_checkpointing", False):
                module.enable_gradient_checkpointing()
