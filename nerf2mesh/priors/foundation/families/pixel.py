"""DeepFloyd IF, first stage: a UNet over pixels (64 x 64), steered by T5. No VAE: latents are the picture in [-1, 1].

The network also predicts a variance (the second three channels); distillation has no use for it.
"""

from __future__ import annotations

from torch import Tensor

from nerf2mesh.priors.foundation.prior import FoundationPrior, Rows
from nerf2mesh.priors.foundation.text import Encoder

MAX_TOKENS = 77
"""T5 takes more, but IF was trained with this many."""


class DeepFloydPrior(FoundationPrior):
    """IF-I; see `priors.base.Prior`."""

    encoders = (Encoder(max_tokens=MAX_TOKENS, masked=True, lower=True),)

    def _load_vae(self) -> None:
        return None

    def _encode_rows(self, rgb: Tensor) -> Tensor:
        return rgb

    def _decode_rows(self, latents: Tensor) -> Tensor:
        return latents

    def _forward(self, x: Tensor, time: Tensor, rows: Rows) -> Tensor:
        hidden = rows["hidden"].to(self.dtype)
        out = self.network(x, time, encoder_hidden_states=hidden, return_dict=False)[0]
        return out[:, : x.shape[1]]
