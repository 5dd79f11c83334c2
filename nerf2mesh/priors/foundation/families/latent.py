"""Stable Diffusion 1.5, 2.1 and XL: a UNet over the VAE's latents, steered by words, a ControlNet, a picture.

SDXL (Podell et al. 2023): two text encoders side by side, the pooled embedding of the second, and six numbers of the
picture's size and crop.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nerf2mesh.priors.base import Branch
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.priors.foundation import control, image_prompt
from nerf2mesh.priors.foundation.prior import FoundationCondition, FoundationPrior, Rows
from nerf2mesh.priors.foundation.prompts import UNCONDITIONAL
from nerf2mesh.priors.foundation.resolve import Source
from nerf2mesh.priors.foundation.text import Embedding, Encoder
from nerf2mesh.types import Camera, Observations
from nerf2mesh.utils.device_copy import to_device

EDGES = ("canny", "lineart", "scribble")
XL_ENCODERS = (
    Encoder(hidden="penultimate"),
    Encoder("text_encoder_2", "tokenizer_2", hidden="penultimate", pooled="projected"),
)


class StableDiffusionPrior(FoundationPrior):
    """See `priors.base.Prior`. `controlnet` and `image_prompt` are None where they are not used.

    SDXL's empty prompt is zeros where the model's index says so, as its pipeline does.
    """

    def __init__(self, source: Source, config: PriorConfig, device: str | torch.device = "cpu") -> None:
        super().__init__(source, config, device)
        self.encoders = XL_ENCODERS if self.family == "sdxl" else (Encoder(),)
        self.controlnet: nn.Module | None = None
        self.image_prompt: image_prompt.ImagePrompt | None = None
        if config.controlnet:
            self.controlnet = control.load(config, self.dtype).to(device)
        if config.ip_adapter:
            self.image_prompt = image_prompt.attach(self.network, config, self.dtype, device)
            self.needs_words = False
        self.shown: Tensor | None = None
        self.follows_rendering = self.controlnet is not None and config.control_from == "rendering"

    def show(self, images: Tensor, depth: Tensor | None = None, cameras: Camera | None = None) -> None:
        """What the ControlNet is to follow in the next predictions, where it follows the rendering.

        `encode` does this with the images [B, V, h, w, 4] it is given. For control=depth or normal the loop has to say
        more: depth [B, V, h, w] along the ray and the cameras [B, V].
        """
        if not self.follows_rendering:
            return
        if self.config.control in EDGES or depth is not None:
            depth = None if depth is None else depth.detach()
            self.shown = control.of_rendering(self.config.control, images.detach(), depth, cameras, self.network_size)

    def _see(self, images: Tensor) -> None:
        if self.config.control in EDGES:
            self.show(images)

    def _picture(self, observations: Observations) -> dict[str, Tensor]:
        found = {}
        if self.image_prompt is not None:
            found["image"], found["no_image"] = self.image_prompt.embed(observations, self.family)
        if self.controlnet is not None and self.config.control_from == "reference":
            found["control"] = control.of_reference(self.config.control, observations, self.network_size)
        return {key: value.to(self.device) for key, value in found.items()}

    def _rows(self, condition: FoundationCondition, cameras: Camera, branch: Branch) -> Rows:
        rows = super()._rows(condition, cameras, branch)
        n = len(rows["hidden"])
        if self.image_prompt is not None:
            image = condition.picture["no_image" if branch in (UNCONDITIONAL, "negative") else "image"]
            rows["image"] = image.expand(n, *image.shape[1:])
        if self.controlnet is not None:
            rows |= self._control_rows(condition, cameras, n)
        return rows

    def _control_rows(self, condition: FoundationCondition, cameras: Camera, n: int) -> Rows:
        scale = self.config.control_scale
        if self.config.control_from == "reference":
            weight = scale * control.nearness(cameras, condition.given_camera)
            return {"control": condition.picture["control"].expand(n, -1, -1, -1), "control_weight": weight}
        if self.shown is None or len(self.shown) != n:
            got = "nothing" if self.shown is None else f"{len(self.shown)} pictures for {n} views"
            raise ValueError(
                f"prior.control={self.config.control}: the rendering is to be shown to the prior first, got {got}; "
                "use canny, lineart or scribble, or prior.control_from=reference"
            )
        return {"control": self.shown, "control_weight": torch.full((n,), scale, device=self.shown.device)}

    def _forward(self, x: Tensor, time: Tensor, rows: Rows) -> Tensor:
        hidden, added = rows["hidden"].to(self.dtype), self._added(rows)
        extra: dict[str, object] = {}
        if self.controlnet is not None:
            down, middle = self.controlnet(
                x,
                time,
                encoder_hidden_states=hidden,
                controlnet_cond=rows["control"].to(self.dtype),
                added_cond_kwargs=added,
                return_dict=False,
            )
            weight = rows["control_weight"].to(self.dtype).reshape(-1, 1, 1, 1)
            extra["down_block_additional_residuals"] = [weight * part for part in down]
            extra["mid_block_additional_residual"] = weight * middle
        if self.image_prompt is not None:
            added = (added or {}) | {"image_embeds": [rows["image"].to(self.dtype)]}
        return self.network(x, time, encoder_hidden_states=hidden, added_cond_kwargs=added, return_dict=False, **extra)[
            0
        ]

    def _added(self, rows: Rows) -> dict[str, object] | None:
        """What SDXL is told beside time and words: the pooled embedding, and size, crop and target size in pixels."""
        if self.family != "sdxl":
            return None
        side, pooled = self.network_size, rows["pooled"].to(self.dtype)
        ids = to_device(torch.tensor([[side, side, 0, 0, side, side]], dtype=self.dtype), pooled.device)
        return {"text_embeds": pooled, "time_ids": ids.expand(len(pooled), -1)}

    def _join(self, parts: list[Embedding], key: str) -> Embedding:
        if self.family != "sdxl":
            return parts[0]
        hidden = torch.cat([part["hidden"] for part in parts], dim=-1)
        joined = {"hidden": hidden, "pooled": parts[1]["pooled"]}
        if key == UNCONDITIONAL and self.components.index.get("force_zeros_for_empty_prompt", True):
            return {name: torch.zeros_like(value) for name, value in joined.items()}
        return joined
