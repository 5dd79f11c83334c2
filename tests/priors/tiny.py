"""Tiny foundation models in the diffusers layout, made from configurations with random weights, offline.

They prove plumbing: shapes, gradients, file formats, determinism. They know nothing about pictures.

`write(kind, folder)` makes one component folder (model_index.json, one folder a component); `KINDS` names them.
Their parts are in `tiny_parts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from tests.priors.tiny_parts import (
    IMAGE_SIZE,
    LATENT_SIZE,
    WIDTH,
    clip_text,
    clip_tokenizer,
    gemma_text,
    gemma_tokenizer,
    image_encoder,
    pndm,
    t5_text,
    t5_tokenizer,
    unet,
    vae,
)


def write(kind: str, folder: Path, seed: int = 0) -> Path:
    """The component folder of a tiny model of `kind`; the same seed gives the same weights."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(seed)
    parts = KINDS[kind]()
    pipeline = parts.pop("_class_name")
    index = {"_class_name": pipeline, "_diffusers_version": "0.42.1"}
    for name, part in parts.items():
        part.save_pretrained(str(folder / name))
        library = "diffusers" if type(part).__module__.startswith("diffusers") else "transformers"
        index[name] = [library, type(part).__name__]
        if type(part).__module__.startswith("nerf2mesh"):
            index[name] = ["mv_unet" if name == "unet" else "pipeline", type(part).__name__]
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    return folder


def write_controlnet(folder: Path, base: Path, seed: int = 1) -> Path:
    """A ControlNet for the UNet in `base`, its zero convolutions made non-zero so that it says something."""
    from diffusers import ControlNetModel, UNet2DConditionModel

    torch.manual_seed(seed)
    unet = UNet2DConditionModel.from_pretrained(base, subfolder="unet")
    net = ControlNetModel.from_unet(unet, conditioning_channels=3, load_weights_from_unet=True)
    reduced = dict(net.config) | {"conditioning_embedding_out_channels": (4, 8)}
    net = ControlNetModel.from_config(reduced)
    for name, parameter in net.named_parameters():
        if "controlnet_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    net.save_pretrained(folder)
    return folder


def write_ip_adapter(folder: Path, base: Path, seed: int = 2) -> Path:
    """An IP-Adapter (ip_adapter.safetensors and image_encoder/) for the UNet in `base`."""
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    unet = UNet2DConditionModel.from_pretrained(base, subfolder="unet")
    context, tokens = unet.config.cross_attention_dim, 4
    weights = {
        "image_proj.proj.weight": torch.randn(tokens * context, WIDTH) * 0.2,
        "image_proj.proj.bias": torch.zeros(tokens * context),
        "image_proj.norm.weight": torch.ones(context),
        "image_proj.norm.bias": torch.zeros(context),
    }
    hidden = [p.shape[0] for n, p in unet.named_parameters() if n.endswith("attn2.to_k.weight")]
    for i, size in enumerate(hidden):
        for which in ("k", "v"):
            weights[f"ip_adapter.{2 * i + 1}.to_{which}_ip.weight"] = torch.randn(size, context) * 0.2
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "ip_adapter.safetensors")
    image_encoder().save_pretrained(folder / "image_encoder")
    return folder


def _sd(**scheduler: object) -> dict[str, object]:
    return {
        "_class_name": "StableDiffusionPipeline",
        "tokenizer": clip_tokenizer(),
        "text_encoder": clip_text(),
        "vae": vae(),
        "unet": unet(),
        "scheduler": pndm(**scheduler),
    }


def _sdxl() -> dict[str, object]:
    network = unet(
        cross_attention_dim=2 * WIDTH,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=6 * 4 + WIDTH,
    )
    return {
        "_class_name": "StableDiffusionXLPipeline",
        "tokenizer": clip_tokenizer(),
        "tokenizer_2": clip_tokenizer(),
        "text_encoder": clip_text(),
        "text_encoder_2": clip_text(projected=True),
        "vae": vae(scaling_factor=0.13025),
        "unet": network,
        "scheduler": pndm(),
    }


def _sd3(with_t5: bool = True) -> dict[str, object]:
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel

    network = SD3Transformer2DModel(
        sample_size=LATENT_SIZE,
        patch_size=2,
        in_channels=8,
        out_channels=8,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=2 * WIDTH,
        caption_projection_dim=16,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=LATENT_SIZE,
    ).eval()
    parts = {
        "_class_name": "StableDiffusion3Pipeline",
        "tokenizer": clip_tokenizer(),
        "tokenizer_2": clip_tokenizer(),
        "text_encoder": clip_text(projected=True),
        "text_encoder_2": clip_text(projected=True),
        "vae": vae(8, scaling_factor=1.5305, shift_factor=0.0609),
        "transformer": network,
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
    }
    return parts | ({"tokenizer_3": t5_tokenizer(), "text_encoder_3": t5_text(2 * WIDTH)} if with_t5 else {})


def _flux() -> dict[str, object]:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel

    network = FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=WIDTH, pooled_projection_dim=WIDTH, guidance_embeds=True,
        axes_dims_rope=(4, 4, 8),
    ).eval()  # fmt: skip
    scheduler = FlowMatchEulerDiscreteScheduler(
        shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, base_image_seq_len=256,
        max_image_seq_len=4096,
    )  # fmt: skip
    return {
        "_class_name": "FluxPipeline",
        "tokenizer": clip_tokenizer(),
        "tokenizer_2": t5_tokenizer(),
        "text_encoder": clip_text(),
        "text_encoder_2": t5_text(),
        "vae": vae(4, scaling_factor=0.3611, shift_factor=0.1159),
        "transformer": network,
        "scheduler": scheduler,
    }


def _sana() -> dict[str, object]:
    from diffusers import AutoencoderDC, DPMSolverMultistepScheduler, SanaTransformer2DModel

    network = SanaTransformer2DModel(
        in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=8,
        num_cross_attention_heads=2, cross_attention_head_dim=8, cross_attention_dim=16, caption_channels=WIDTH,
        sample_size=LATENT_SIZE, patch_size=1,
    ).eval()  # fmt: skip
    autoencoder = AutoencoderDC(
        latent_channels=4, attention_head_dim=2, scaling_factor=0.41407,
        encoder_block_types=("ResBlock", "EfficientViTBlock"), decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1), encoder_qkv_multiscales=((), (5,)), decoder_qkv_multiscales=((), (5,)),
        downsample_block_type="conv", upsample_block_type="interpolate", decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
    ).eval()  # fmt: skip
    scheduler = DPMSolverMultistepScheduler(
        use_flow_sigmas=True, flow_shift=3.0, prediction_type="flow_prediction", final_sigmas_type="zero"
    )
    return {
        "_class_name": "SanaPipeline",
        "tokenizer": gemma_tokenizer(),
        "text_encoder": gemma_text(),
        "vae": autoencoder,
        "transformer": network,
        "scheduler": scheduler,
    }


def _deepfloyd() -> dict[str, object]:
    from diffusers import DDPMScheduler

    network = unet(
        sample_size=IMAGE_SIZE,
        in_channels=3,
        out_channels=6,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        attention_head_dim=8,
        cross_attention_dim=32,
        encoder_hid_dim=WIDTH,
        addition_embed_type="text",
        addition_embed_type_num_heads=2,
        cross_attention_norm="group_norm",
        resnet_time_scale_shift="scale_shift",
        act_fn="gelu",
    )
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="learned_range", thresholding=True)
    return {
        "_class_name": "IFPipeline",
        "tokenizer": t5_tokenizer(),
        "text_encoder": t5_text(),
        "unet": network,
        "scheduler": scheduler,
    }


def _zero123() -> dict[str, object]:
    from nerf2mesh.priors.foundation.families.zero123 import CameraProjection

    return {
        "_class_name": "Zero123Pipeline",
        "image_encoder": image_encoder(),
        "vae": vae(),
        "unet": unet(in_channels=8),
        "clip_camera_projection": CameraProjection(WIDTH),
        "scheduler": pndm(),
    }


def _mvdream(with_image: bool = False) -> dict[str, object]:
    from nerf2mesh.priors.foundation.families.multiview_unet import MultiViewUNet

    network = MultiViewUNet(
        image_size=LATENT_SIZE, in_channels=4, out_channels=4, model_channels=64, attention_resolutions=(1,),
        num_res_blocks=1, channel_mult=(1, 1), num_head_channels=16, transformer_depth=1, context_dim=WIDTH,
        camera_dim=16, ip_dim=2 if with_image else 0, ip_embedding_dim=WIDTH, ip_heads=2, ip_dim_head=8, ip_depth=1,
    ).eval()  # fmt: skip
    parts = {
        "_class_name": "MVDreamPipeline",
        "tokenizer": clip_tokenizer(),
        "text_encoder": clip_text(),
        "vae": vae(),
        "unet": network,
        "scheduler": pndm(),
    }
    return parts | ({"image_encoder": image_encoder(projected=False)} if with_image else {})


KINDS: dict[str, Callable[[], dict[str, object]]] = {
    "sd": _sd,
    "sd-v": lambda: _sd(prediction_type="v_prediction"),
    "sdxl": _sdxl,
    "sd3": _sd3,
    "sd3-no-t5": lambda: _sd3(with_t5=False),
    "flux": _flux,
    "sana": _sana,
    "if": _deepfloyd,
    "zero123": _zero123,
    "mvdream": _mvdream,
    "imagedream": lambda: _mvdream(with_image=True),
}
