"""python -m benchmarks prior_memory [--names sd15,sdxl] [--views 4] [--precision bfloat16] [--output FILE]

Predicted memory of a distillation step with full-size foundation priors: weights, activations of the network's forward
with both guidance branches, and the VAE encoder's backward pass. Nothing is downloaded and nothing is computed: the
architectures are built without storage and one step is traced (see nerf2mesh/priors/foundation/memory.py).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nerf2mesh.priors import PriorConfig
from nerf2mesh.priors.foundation.components import quiet
from nerf2mesh.priors.foundation.memory import GIB, parts_of, predict_memory
from nerf2mesh.priors.foundation.prior import FoundationCondition, FoundationPrior
from nerf2mesh.priors.foundation.resolve import Source
from nerf2mesh.priors.foundation.zoo import MODEL_ZOO
from nerf2mesh.priors.load import prior_class
from nerf2mesh.types import Camera

from .step_time import SD3, SD_UNET, SDXL_UNET, VAE

VAE16 = VAE | {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False}
SD21 = SD_UNET | {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True}
SD35_MEDIUM = SD3 | {"pos_embed_max_size": 384, "qk_norm": "rms_norm", "dual_attention_layers": tuple(range(13))}
SD35_LARGE = SD3 | {
    "num_layers": 38, "num_attention_heads": 38, "caption_projection_dim": 2432, "qk_norm": "rms_norm",
}  # fmt: skip
DCAE = {
    "latent_channels": 32, "downsample_block_type": "conv", "upsample_block_type": "interpolate",
    "encoder_block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
    "encoder_block_out_channels": (128, 256, 512, 512, 1024, 1024), "encoder_layers_per_block": (2, 2, 2, 3, 3, 3),
    "encoder_qkv_multiscales": ((), (), (), (5,), (5,), (5,)),
    "decoder_block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
    "decoder_block_out_channels": (128, 256, 512, 512, 1024, 1024), "decoder_layers_per_block": (3,) * 6,
    "decoder_qkv_multiscales": ((), (), (), (5,), (5,), (5,)), "scaling_factor": 0.41407,
}  # fmt: skip
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
UNET, TRANSFORMER = "UNet2DConditionModel", "SD3Transformer2DModel"
Text = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Blueprint:
    """What a Components folder would say: classes and configurations; `load` builds without storage."""

    network: tuple[str, dict[str, Any]]
    vae: tuple[str, dict[str, Any]] = ("AutoencoderKL", VAE)
    text: Text = field(default_factory=dict)
    picture: Text = field(default_factory=dict)
    scheduler: dict[str, Any] = field(default_factory=dict)
    n_parameters: float = 0.0
    """In billions, as published; the built network is checked against it."""

    @property
    def index(self) -> dict[str, Any]:
        return {}

    def has(self, name: str) -> bool:
        return name == "clip_camera_projection"

    def config(self, name: str) -> dict[str, Any]:
        return {"scheduler": self.scheduler, "vae": self.vae[1]}.get(name, self.network[1])

    def load(self, name: str, dtype: torch.dtype, build: Any = None) -> nn.Module:
        import diffusers

        with torch.device("meta"), quiet():
            if build is not None:
                return build(self.config(name) if name == "unet" else {}).to(dtype)
            kind, settings = self.vae if name == "vae" else self.network
            return getattr(diffusers, kind)(**settings).to(dtype)


WORDS21 = {"hidden": (77, 1024)}
SD3_WORDS = {"hidden": (333, 4096), "pooled": (2048,)}
GIVEN = {"embedding": (1, 768), "latents": (1, 4, 32, 32)}
BLUEPRINTS: dict[str, Blueprint] = {
    "sd15": Blueprint((UNET, SD_UNET), text={"hidden": (77, 768)}, n_parameters=0.860),
    "sd21-base": Blueprint((UNET, SD21), text=WORDS21, n_parameters=0.866),
    "sd21": Blueprint((UNET, SD21 | {"sample_size": 96}), text=WORDS21, n_parameters=0.866),
    "sdxl": Blueprint((UNET, SDXL_UNET), text={"hidden": (77, 2048), "pooled": (1280,)}, n_parameters=2.567),
    "sd3-medium": Blueprint((TRANSFORMER, SD3), ("AutoencoderKL", VAE16), SD3_WORDS, scheduler=FLOW, n_parameters=2.03),
    "sd35-medium": Blueprint((TRANSFORMER, SD35_MEDIUM), ("AutoencoderKL", VAE16), SD3_WORDS, scheduler=FLOW,
                             n_parameters=2.243),
    "sd35-large": Blueprint((TRANSFORMER, SD35_LARGE), ("AutoencoderKL", VAE16), SD3_WORDS, scheduler=FLOW,
                            n_parameters=8.06),
    "flux-dev": Blueprint(("FluxTransformer2DModel", {"guidance_embeds": True}), ("AutoencoderKL", VAE16),
                          {"hidden": (512, 4096), "pooled": (768,)}, scheduler=FLOW, n_parameters=11.9),
    "sana-1600m-1024": Blueprint(("SanaTransformer2DModel", {"sample_size": 32}), ("AutoencoderDC", DCAE),
                                 {"hidden": (300, 2304), "mask": (300,)}, scheduler=FLOW, n_parameters=1.60),
    "zero123-xl": Blueprint((UNET, SD_UNET | {"in_channels": 8, "sample_size": 32}), picture=GIVEN, n_parameters=0.860),
    "mvdream": Blueprint(("", {}), text=WORDS21, n_parameters=0.868),
    "imagedream": Blueprint(("", {"ip_dim": 16}), text=WORDS21, n_parameters=0.952,
                            picture={"tokens": (1, 257, 1280), "latents": (1, 4, 32, 32)}),
}  # fmt: skip


def blank_prior(name: str, precision: str) -> tuple[FoundationPrior, FoundationCondition]:
    """The full-size prior without storage, and a condition of the right shapes."""
    blueprint, known = BLUEPRINTS[name], MODEL_ZOO[name]
    config = PriorConfig(name=name, precision=precision, network_resolution=known.size_px)
    prior = prior_class(known.family)(
        Source(blueprint, known.family, name, known.licence, known.size_px), config, "meta"
    )
    keys = ("plain", "front", "side", "back", "overhead", "unconditional", "negative")
    text = {key: _zeros(blueprint.text) for key in keys}
    return prior, FoundationCondition(text, _zeros(blueprint.picture), Camera.orbit(0.0, 10.0))


def measure(name: str, n_views: int, precision: str) -> dict[str, object]:
    """One row: sizes in GiB, and the network's parameters in billions."""
    prior, condition = blank_prior(name, precision)
    predicted = predict_memory(prior, condition, n_views=n_views, n_branches=2)
    count = sum(p.numel() for p in prior.network.parameters()) / 1e9
    published = BLUEPRINTS[name].n_parameters
    if abs(count - published) > 0.02 * published:
        raise ValueError(f"{name}: {published} billion parameters wanted, got {count:.3f}; mend its blueprint")
    sizes = {key: round(value / GIB, 2) for key, value in asdict(predicted).items() if key != "field"}
    parts = sorted(parts_of(prior))
    total = round(predicted.total / GIB, 2)
    return {
        "prior": name,
        "size_px": prior.network_size,
        "billions": round(count, 3),
        **sizes,
        "total": total,
        "parts": parts,
    }


def table(rows: list[dict[str, object]]) -> str:
    names = ("prior", "size_px", "billions", "weights", "network", "encode_peak", "total")
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows])


def _zeros(shapes: Text) -> dict[str, Tensor]:
    return {
        name: torch.zeros(shape, dtype=torch.long if name == "mask" else None, device="meta")
        for name, shape in shapes.items()
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks prior_memory", description=__doc__)
    parser.add_argument("--names", default=",".join(BLUEPRINTS))
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args(argv)
    rows = [measure(name, options.views, options.precision) for name in options.names.split(",")]
    print(table(rows))
    if options.output:
        options.output.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
