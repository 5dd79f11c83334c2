"""Rectified-flow transformers: Stable Diffusion 3 and 3.5, FLUX.1-dev, SANA. The prediction is noise - x0."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nerf2mesh.priors.foundation.prior import FoundationPrior, Rows
from nerf2mesh.priors.foundation.prompts import NEGATIVE, UNCONDITIONAL
from nerf2mesh.priors.foundation.schedule import Schedule, read_schedule
from nerf2mesh.priors.foundation.text import Embedding, Encoder
from nerf2mesh.types import Observations


class Sd3Prior(FoundationPrior):
    """SD3 and 3.5 (Esser et al. 2024): both CLIP encoders side by side, padded to T5's width, then T5's tokens.

    Without the third encoder (`use_t5=False`, or a folder that lacks it) its tokens are zeros, as published.
    """

    network_name = "transformer"
    encoders = (
        Encoder(hidden="penultimate", pooled="projected"),
        Encoder("text_encoder_2", "tokenizer_2", hidden="penultimate", pooled="projected"),
    )
    third = Encoder("text_encoder_3", "tokenizer_3", max_tokens=256)

    def _used_encoders(self) -> tuple[Encoder, ...]:
        with_third = self.config.use_t5 and not self.components.missing((self.third.name, self.third.tokenizer))
        return (*self.encoders, self.third) if with_third else self.encoders

    def _join(self, parts: list[Embedding], key: str) -> Embedding:
        clip = torch.cat([part["hidden"] for part in parts[:2]], dim=-1)
        width = self.network.config.joint_attention_dim
        clip = nn.functional.pad(clip, (0, width - clip.shape[-1]))
        third = parts[2]["hidden"] if len(parts) > 2 else clip.new_zeros(self.third.max_tokens, width)
        pooled = torch.cat([part["pooled"] for part in parts[:2]], dim=-1)
        return {"hidden": torch.cat([clip, third.to(clip)]), "pooled": pooled}

    def _forward(self, x: Tensor, time: Tensor, rows: Rows) -> Tensor:
        return self.network(
            hidden_states=x,
            timestep=time,
            encoder_hidden_states=rows["hidden"].to(self.dtype),
            pooled_projections=rows["pooled"].to(self.dtype),
            return_dict=False,
        )[0]


class FluxPrior(FoundationPrior):
    """FLUX.1-dev: T5's tokens, CLIP's pooled embedding, and a guidance number that the network was distilled on.

    That number is `prior.distilled_guidance`; classifier-free guidance comes on top and was not trained for.
    """

    network_name = "transformer"
    encoders = (
        Encoder(hidden="", pooled="pooler"),
        Encoder("text_encoder_2", "tokenizer_2", max_tokens=512),
    )

    def _trained_size(self) -> int:
        return self.source.size_px or int(self.components.config("vae").get("sample_size", 1024))

    def _read_schedule(self) -> Schedule:
        n_tokens = (self.network_size // self.shrink // 2) ** 2
        return read_schedule(self.components.config("scheduler"), n_tokens=n_tokens, scale=1.0)

    def _join(self, parts: list[Embedding], key: str) -> Embedding:
        return {"hidden": parts[1]["hidden"], "pooled": parts[0]["pooled"]}

    def _forward(self, x: Tensor, time: Tensor, rows: Rows) -> Tensor:
        hidden = rows["hidden"].to(self.dtype)
        guidance = None
        if self.network.config.guidance_embeds:
            guidance = torch.full((len(x),), self.config.distilled_guidance, device=x.device, dtype=torch.float32)
        out = self.network(
            hidden_states=packed(x),
            timestep=time,
            guidance=guidance,
            pooled_projections=rows["pooled"].to(self.dtype),
            encoder_hidden_states=hidden,
            txt_ids=hidden.new_zeros(hidden.shape[1], 3),
            img_ids=patch_ids(x),
            return_dict=False,
        )[0]
        return unpacked(out, x.shape[-2], x.shape[-1])


class SanaPrior(FoundationPrior):
    """SANA (Xie et al. 2024): a linear transformer over a 32-fold autoencoder, words by Gemma 2 with an instruction."""

    network_name = "transformer"

    def _embed(self, observations: Observations) -> dict[str, Embedding]:
        """With the instruction for prompts, without for the empty and the negative one, as its pipeline does."""
        plain = Encoder(max_tokens=300, masked=True, lower=True)
        self.encoders = (plain, Encoder(max_tokens=300, masked=True, lower=True, instruction=human_instruction()))
        return super()._embed(observations)

    @property
    def words_precision(self) -> str:
        """Gemma 2 was trained in bfloat16, whose range float16 does not have."""
        return "bfloat16" if self.config.precision == "float16" else self.config.precision

    def _join(self, parts: list[Embedding], key: str) -> Embedding:
        return parts[0] if key in (UNCONDITIONAL, NEGATIVE) else parts[1]

    def _read_schedule(self) -> Schedule:
        scale = 1000.0 * float(self.network.config.get("timestep_scale", 1.0))
        return read_schedule(self.components.config("scheduler"), scale=scale)

    def _mean(self, image: Tensor) -> Tensor:
        """Its autoencoder has no posterior."""
        return self.vae.encode(image).latent

    def _prepare_checkpointing(self) -> None:
        """Diffusers has no checkpointing for this autoencoder: each layer of its encoder is recomputed by itself."""
        super()._prepare_checkpointing()
        if self.config.checkpointing:
            for layer in (layer for block in self.vae.encoder.down_blocks for layer in block):
                layer.forward = partial(recomputed, layer.forward)

    def _forward(self, x: Tensor, time: Tensor, rows: Rows) -> Tensor:
        out = self.network(
            x,
            encoder_hidden_states=rows["hidden"].to(self.dtype),
            encoder_attention_mask=rows["mask"],
            timestep=time,
            return_dict=False,
        )[0]
        return out[:, : x.shape[1]]


def recomputed(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`forward(x)`, done again in the backward pass instead of kept."""
    return checkpoint(forward, x, use_reentrant=False) if x.requires_grad else forward(x)


def human_instruction() -> str:
    """The words that SANA's pipeline in diffusers puts before every prompt."""
    from diffusers import SanaPipeline  # pyright: ignore[reportPrivateImportUsage]  # lazily exported

    lines = inspect.signature(SanaPipeline.__call__).parameters["complex_human_instruction"].default
    return "\n".join(lines)


def packed(latents: Tensor) -> Tensor:
    """[n, c, h, w] -> [n, h w / 4, 4 c]: each token is a 2 x 2 patch."""
    n, c, h, w = latents.shape
    patches = latents.reshape(n, c, h // 2, 2, w // 2, 2)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(n, h * w // 4, 4 * c)


def unpacked(tokens: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `packed`."""
    n, _, c = tokens.shape
    patches = tokens.reshape(n, height // 2, width // 2, c // 4, 2, 2)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(n, c // 4, height, width)


def patch_ids(latents: Tensor) -> Tensor:
    """(0, row, column) of each token [h w / 4, 3]."""
    h, w = latents.shape[-2] // 2, latents.shape[-1] // 2
    row, column = torch.meshgrid(
        torch.arange(h, device=latents.device), torch.arange(w, device=latents.device), indexing="ij"
    )
    return torch.stack([torch.zeros_like(row), row, column], dim=-1).reshape(-1, 3).to(latents.dtype)
