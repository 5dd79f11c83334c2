"""A tiny Stable Diffusion as one file in the latent-diffusion layout, the way checkpoints are passed around."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from nerf2mesh.priors.foundation.families.multiview_unet import MultiViewUNet
from tests.priors import tiny
from tests.priors.tiny_parts import LATENT_SIZE, WIDTH


def write(folder: Path, file: Path) -> Path:
    """Writes `file` with all weights of a model whose configurations are put into `folder`; returns the file."""
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file

    tiny.write("sd", folder)
    torch.manual_seed(7)
    source = MultiViewUNet(
        model_channels=32, channel_mult=(1, 2), num_res_blocks=1, attention_resolutions=(1, 2), num_head_channels=16,
        context_dim=WIDTH,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=LATENT_SIZE, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=WIDTH,
        attention_head_dim=(2, 4), down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2, use_linear_projection=True,
    )  # fmt: skip
    unet.save_config(folder / "unet")
    weights = {f"model.diffusion_model.{k}": v for k, v in source.state_dict().items() if "camera_embed" not in k}
    weights |= {f"first_stage_model.{vae_name(k)}": vae_value(k, v) for k, v in tiny_weights(folder / "vae").items()}
    prefix = "cond_stage_model.transformer."
    for key, value in tiny_weights(folder / "text_encoder").items():
        weights[prefix + (key if key.startswith("text_model.") else f"text_model.{key}")] = value
    save_file({key: value.contiguous() for key, value in weights.items()}, file)
    for name in ("unet", "vae", "text_encoder"):
        for path in (folder / name).glob("*.safetensors"):
            path.unlink()
    return file


def tiny_weights(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(next(folder.glob("*.safetensors")))


def vae_name(key: str, n_levels: int = 2) -> str:
    """The latent-diffusion name of a parameter of AutoencoderKL."""
    for i in range(n_levels):
        key = key.replace(f"up_blocks.{i}.", f"up.{n_levels - 1 - i}.").replace(f"down_blocks.{i}.", f"down.{i}.")
    for i in range(2):
        key = key.replace(f"mid_block.resnets.{i}", f"mid.block_{i + 1}")
    if "mid_block.attentions.0" in key:
        key = (
            key.replace("mid_block.attentions.0", "mid.attn_1")
            .replace("group_norm", "norm")
            .replace("to_out.0", "proj_out")
        )
        key = key.replace("to_q", "q").replace("to_k", "k").replace("to_v", "v")
    key = (
        key.replace("resnets.", "block.").replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    )
    return key.replace("downsamplers.0", "downsample").replace("upsamplers.0", "upsample")


def vae_value(key: str, value: Tensor) -> Tensor:
    """Attention matrices are 1 x 1 convolutions there."""
    is_matrix = "mid_block.attentions.0.to_" in key and key.endswith("weight")
    return value[:, :, None, None] if is_matrix else value
