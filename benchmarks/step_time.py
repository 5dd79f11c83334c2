"""python -m benchmarks.step_time [--device cuda] [--models sd15,sd21,sdxl,sd3] [--rays 64,256] [--tiny] [--output FILE]

Time and peak memory of one distillation step with the real architectures at random weights (weights do not change the
speed; nothing is downloaded, and nothing is said about quality). Split into: VAE (encode, and the gradient back to the
picture), network (one forward pass with both guidance branches), field and renderer (forward and backward), optimizer.
--tiny shrinks every width, so that the code can run on a CPU; its times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from nerf2mesh.fields import FieldConfig, HashGridField
from nerf2mesh.kernels import FusedAdam
from nerf2mesh.render import OccupancyGrid, RendererConfig, VolumeRenderer
from nerf2mesh.types import Camera

from .kernels.timing import best_seconds

SD_UNET = {"sample_size": 64, "in_channels": 4, "out_channels": 4, "cross_attention_dim": 768, "attention_head_dim": 8}
SDXL_UNET = {
    "sample_size": 128, "in_channels": 4, "out_channels": 4, "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10), "attention_head_dim": (5, 10, 20), "cross_attention_dim": 2048,
    "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
SD3 = {
    "sample_size": 128, "patch_size": 2, "in_channels": 16, "out_channels": 16, "num_layers": 24,
    "attention_head_dim": 64, "num_attention_heads": 24, "joint_attention_dim": 4096, "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048, "pos_embed_max_size": 192,
}  # fmt: skip
VAE = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip
TINY_UNET = {"layers_per_block": 1, "norm_num_groups": 8, "attention_head_dim": 2, "cross_attention_dim": 16}


@dataclass(frozen=True)
class Architecture:
    """Class name in diffusers, its configuration, what a tiny one changes, picture side, text length and width."""

    network: str
    config: dict
    tiny: dict
    image_px: int
    tokens: int
    vae: dict


ARCHITECTURES = {
    "sd15": Architecture(
        "UNet2DConditionModel", SD_UNET, TINY_UNET | {"block_out_channels": (16, 16, 16, 16)}, 512, 77, VAE
    ),
    "sd21": Architecture(
        "UNet2DConditionModel",
        SD_UNET | {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
        TINY_UNET | {"block_out_channels": (16, 16, 16, 16)}, 512, 77, VAE,
    ),
    "sdxl": Architecture(
        "UNet2DConditionModel", SDXL_UNET,
        TINY_UNET | {"block_out_channels": (16, 16, 16), "transformer_layers_per_block": 1}, 1024, 77, VAE,
    ),
    "sd3": Architecture(
        "SD3Transformer2DModel", SD3,
        {"num_layers": 2, "attention_head_dim": 8, "num_attention_heads": 2, "joint_attention_dim": 16,
         "caption_projection_dim": 16, "pooled_projection_dim": 16}, 1024, 333,
        VAE | {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False},
    ),
}  # fmt: skip
Work = dict[str, Callable[[], object]]


def diffusion_work(name: str, device: str, tiny: bool) -> Work:
    """The VAE's and the network's share of a step, as calls."""
    import diffusers

    arch = ARCHITECTURES[name]
    config = arch.config | (arch.tiny if tiny else {})
    vae_config = arch.vae | ({"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4} if tiny else {})
    side = 64 if tiny else arch.image_px
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    with torch.device(device), _default(dtype):
        network = getattr(diffusers, arch.network)(**config).requires_grad_(False).eval()
        vae = diffusers.AutoencoderKL(**vae_config).requires_grad_(False).eval()
        image = torch.rand(1, 3, side, side, requires_grad=True)
        latents, time = torch.randn(2, config["in_channels"], side // 8, side // 8), torch.full((2,), 500.0)
        inputs = _conditions(arch, config, side)

    @torch.no_grad()
    def predict() -> None:
        network(latents, timestep=time, **inputs)

    def encode() -> None:
        found = vae.encode(image * 2 - 1).latent_dist.mean
        torch.autograd.grad(found, image, torch.ones_like(found))

    return {"vae": encode, "network": predict}


def _conditions(arch: Architecture, config: dict, side: int) -> dict:
    if arch.network == "SD3Transformer2DModel":
        text = torch.randn(2, arch.tokens, config["joint_attention_dim"])
        return {"encoder_hidden_states": text, "pooled_projections": torch.randn(2, config["pooled_projection_dim"])}
    found = {"encoder_hidden_states": torch.randn(2, arch.tokens, config["cross_attention_dim"])}
    if config.get("addition_embed_type") == "text_time":
        sizes = torch.tensor([[side, side, 0, 0, side, side]] * 2, dtype=torch.get_default_dtype())
        pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
        found["added_cond_kwargs"] = {"text_embeds": torch.randn(2, pooled), "time_ids": sizes}
    return found


def field_work(device: str, side: int) -> Work:
    """Field and renderer at side^2 rays, forward and backward, and the optimizer's step, as calls."""
    field = HashGridField(FieldConfig(), torch.Generator().manual_seed(0)).to(device).train()
    occupancy = OccupancyGrid(64).to(device)
    renderer = VolumeRenderer(RendererConfig(), field, occupancy)
    occupancy.bake_full(field, threshold=renderer.config.density_threshold)
    rays = Camera.orbit(30.0, 20.0, width_px=side).to(device).rays().flatten()
    weight = torch.randn(len(rays.origins), 4, device=device)
    optimizer = FusedAdam(field.param_groups(1e-2, 1e-3))

    def render() -> None:
        renderer.backward_in_chunks(rays, lambda r: (r.rgba.reshape(-1, 4) * weight).sum())

    def update() -> None:
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    render()
    return {"field and renderer": render, "optimizer": update}


@contextmanager
def _default(dtype: torch.dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def measure(name: str, device: str, rays: Sequence[int], *, tiny: bool = False, repeats: int = 5) -> dict[str, float]:
    """Milliseconds and peak MiB by part, and what share of the step field, renderer and optimizer take."""
    work = diffusion_work(name, device, tiny)
    found = {f"{name}: {part} [ms]": ms for part, ms in _timed(work, repeats).items()}
    heavy = sum(found.values())
    found |= {f"{name}: {part} peak [MiB]": mib for part, mib in _peaks(work, device).items()}
    found |= {f"{name}: {part} peak predicted [MiB]": mib for part, mib in predicted_peaks(name, tiny).items()}
    for side in rays:
        ours = field_work(device, side)
        times = _timed(ours, repeats)
        found |= {f"{name} {side}x{side}: {part} [ms]": ms for part, ms in times.items()}
        found |= {f"{name} {side}x{side}: {part} peak [MiB]": mib for part, mib in _peaks(ours, device).items()}
        light = sum(times.values())
        found[f"{name} {side}x{side}: step [ms]"] = heavy + light
        found[f"{name} {side}x{side}: all but VAE and network [share]"] = light / (heavy + light)
    return found


def predicted_peaks(name: str, tiny: bool) -> dict[str, float]:
    """What `_peaks` should find, by the bytes that live at once when the same work runs on tensors without storage."""
    from nerf2mesh.priors.foundation.memory import LiveBytes, fused_attention

    peaks = {}
    with LiveBytes([]) as count, fused_attention():
        for part, function in diffusion_work(name, "meta", tiny).items():
            count.peak = count.live
            function()
            peaks[part] = count.peak / 2**20
    return peaks


def _timed(work: Work, repeats: int) -> dict[str, float]:
    return {name: 1e3 * seconds for name, seconds in best_seconds(work, repeats).items()}


def _peaks(work: Work, device: str) -> dict[str, float]:
    """What each part holds at most, weights included; nothing on a CPU."""
    if not device.startswith("cuda"):
        return {}
    peaks = {}
    for name, function in work.items():
        torch.cuda.reset_peak_memory_stats()
        function()
        peaks[name] = torch.cuda.max_memory_allocated() / 2**20
    return peaks


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--models", default="sd15,sd21,sdxl,sd3")
    parser.add_argument("--rays", default="64,256", help="sides of the square of rays")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args(argv)
    rays, found = [int(side) for side in arguments.rays.split(",")], {}
    for name in arguments.models.split(","):
        found |= measure(name, arguments.device, rays, tiny=arguments.tiny, repeats=arguments.repeats)
    for name, value in found.items():
        print(f"{name:60s} {value:10.4g}")
    if arguments.output:
        arguments.output.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
