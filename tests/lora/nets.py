"""Tiny networks with random weights, one of each family, and random low-rank changes written in everybody's formats.

Random weights prove plumbing only. The files are written here by hand, from the formats' definitions, not with the
library's own writers.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.network import CLEAN, NOISY, DenoiserConfig
from nerf2mesh.types import Camera


@dataclass(frozen=True)
class Family:
    """A network, a call of it, the layers that get adapters, and what kohya's tools call these."""

    build: Callable[[], nn.Module]
    call: Callable[[nn.Module], Tensor]
    part: str
    """The part's name in diffusers' files."""
    kohya: dict[str, tuple[str, ...]]
    """sd-scripts' name to our modules, whose outputs it joins."""

    @property
    def modules(self) -> list[str]:
        return [module for modules in self.kohya.values() for module in modules]


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def initialized(network: nn.Module) -> nn.Module:
    """Every parameter random, also those that start at zero, so that no path through the network is silent."""
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g) * (0.3 if parameter.ndim < 2 else 0.15))
    return network.eval().requires_grad_(False)


def _unet(**more) -> nn.Module:
    from diffusers import UNet2DConditionModel

    blocks = {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    sizes = {"block_out_channels": (8, 16), "layers_per_block": 2, "norm_num_groups": 4, "cross_attention_dim": 12}
    return initialized(UNet2DConditionModel(**blocks, **sizes, sample_size=8, attention_head_dim=2, **more))


def _sdxl() -> nn.Module:
    sizes = {"addition_embed_type": "text_time", "addition_time_embed_dim": 4, "transformer_layers_per_block": (1, 2)}
    return _unet(use_linear_projection=True, projection_class_embeddings_input_dim=6 * 4 + 10, **sizes)


def _sd3() -> nn.Module:
    from diffusers import SD3Transformer2DModel

    sizes = {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 8, "joint_attention_dim": 12}
    more = {"caption_projection_dim": 16, "pooled_projection_dim": 10, "pos_embed_max_size": 8, "sample_size": 8}
    special = {"dual_attention_layers": (0,), "qk_norm": "rms_norm"}
    return initialized(SD3Transformer2DModel(patch_size=2, in_channels=4, out_channels=4, **sizes, **more, **special))


def _flux() -> nn.Module:
    from diffusers import FluxTransformer2DModel

    sizes = {"num_layers": 1, "num_single_layers": 2, "attention_head_dim": 16, "num_attention_heads": 2}
    more = {"joint_attention_dim": 12, "pooled_projection_dim": 10, "axes_dims_rope": (4, 4, 8), "in_channels": 4}
    return initialized(FluxTransformer2DModel(patch_size=1, guidance_embeds=True, **sizes, **more))


def _builtin() -> nn.Module:
    sizes = {"channels": 8, "volume_size": 8, "volume_channels": 8, "deep_channels": 16, "n_deep": 1}
    return initialized(DenoiserConfig(image_size=16, n_ray_samples=4, **sizes).build())


def _call_unet(network: nn.Module) -> Tensor:
    more = {"text_embeds": noise(3, 2, 10), "time_ids": torch.ones(2, 6)}
    more = more if network.config.addition_embed_type else None
    return network(noise(1, 2, 4, 8, 8), torch.tensor([10, 500]), noise(2, 2, 5, 12), added_cond_kwargs=more).sample


def _call_sd3(network: nn.Module) -> Tensor:
    text = {"encoder_hidden_states": noise(2, 2, 5, 12), "pooled_projections": noise(3, 2, 10)}
    return network(noise(1, 2, 4, 8, 8), timestep=torch.tensor([10.0, 500.0]), **text).sample


def _call_flux(network: nn.Module) -> Tensor:
    text = {"encoder_hidden_states": noise(2, 2, 5, 12), "pooled_projections": noise(3, 2, 10)}
    ids = {"txt_ids": torch.zeros(5, 3), "img_ids": torch.arange(48.0).reshape(16, 3)}
    levels = {"timestep": torch.tensor([0.1, 0.5]), "guidance": torch.tensor([3.5, 1.0])}
    return network(noise(1, 2, 16, 4), **text, **ids, **levels).sample


def _call_builtin(network: nn.Module) -> Tensor:
    camera = Camera.orbit(torch.tensor([[0.0, 120.0]]), 10.0, width_px=16)
    kind = torch.tensor([[CLEAN, NOISY]])
    return network(noise(1, 1, 2, 4, 16, 16), torch.tensor([0.0]), kind, FrameGeometry.of(camera))


def _same(*modules: str) -> dict[str, tuple[str, ...]]:
    return {"lora_unet_" + module.replace(".", "_"): (module,) for module in modules}


_DOWN, _UP = "down_blocks.1.attentions.1.transformer_blocks.0", "up_blocks.0.attentions.2.transformer_blocks.0"
_JOINT, _DOUBLE, _SINGLE = "lora_unet_joint_blocks", "lora_unet_double_blocks_0", "lora_unet_single_blocks_1"


def _qkv(block: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{block}.attn.{name}" for name in names)


FAMILIES = {
    "sd": Family(
        _unet,
        _call_unet,
        "unet",
        _same(
            f"{_DOWN}.attn1.to_q",
            f"{_DOWN}.attn2.to_k",
            f"{_DOWN}.attn2.to_out.0",
            f"{_DOWN}.ff.net.0.proj",
            "down_blocks.1.attentions.0.proj_in",
            "down_blocks.0.resnets.1.conv1",
            "down_blocks.0.downsamplers.0.conv",
            "mid_block.resnets.0.time_emb_proj",
            "up_blocks.1.resnets.0.conv_shortcut",
            "time_embedding.linear_1",
            "conv_in",
        ),
    ),
    "sdxl": Family(
        _sdxl,
        _call_unet,
        "unet",
        {
            "lora_unet_input_blocks_5_1_transformer_blocks_0_attn1_to_q": (f"{_DOWN}.attn1.to_q",),
            "lora_unet_input_blocks_5_1_transformer_blocks_1_ff_net_2": (f"{_DOWN[:-1]}1.ff.net.2",),
            "lora_unet_input_blocks_4_1_proj_in": ("down_blocks.1.attentions.0.proj_in",),
            "lora_unet_input_blocks_2_0_in_layers_2": ("down_blocks.0.resnets.1.conv1",),
            "lora_unet_input_blocks_3_0_op": ("down_blocks.0.downsamplers.0.conv",),
            "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_v": (
                "mid_block.attentions.0.transformer_blocks.0.attn2.to_v",
            ),
            "lora_unet_middle_block_2_out_layers_3": ("mid_block.resnets.1.conv2",),
            "lora_unet_output_blocks_2_1_transformer_blocks_0_attn1_to_out_0": (f"{_UP}.attn1.to_out.0",),
            "lora_unet_output_blocks_2_2_conv": ("up_blocks.0.upsamplers.0.conv",),
            "lora_unet_output_blocks_3_0_skip_connection": ("up_blocks.1.resnets.0.conv_shortcut",),
            "lora_unet_output_blocks_3_0_emb_layers_1": ("up_blocks.1.resnets.0.time_emb_proj",),
            "lora_unet_label_emb_0_2": ("add_embedding.linear_2",),
            "lora_unet_time_embed_0": ("time_embedding.linear_1",),
        },
    ),
    "sd3": Family(
        _sd3,
        _call_sd3,
        "transformer",
        {
            f"{_JOINT}_0_x_block_attn_qkv": _qkv("transformer_blocks.0", "to_q", "to_k", "to_v"),
            f"{_JOINT}_1_context_block_attn_qkv": _qkv(
                "transformer_blocks.1", "add_q_proj", "add_k_proj", "add_v_proj"
            ),
            f"{_JOINT}_0_context_block_attn_proj": ("transformer_blocks.0.attn.to_add_out",),
            f"{_JOINT}_0_x_block_attn2_qkv": tuple(f"transformer_blocks.0.attn2.to_{c}" for c in "qkv"),
            f"{_JOINT}_1_x_block_mlp_fc1": ("transformer_blocks.1.ff.net.0.proj",),
            f"{_JOINT}_0_context_block_adaLN_modulation_1": ("transformer_blocks.0.norm1_context.linear",),
            "lora_unet_t_embedder_mlp_2": ("time_text_embed.timestep_embedder.linear_2",),
            "lora_unet_x_embedder_proj": ("pos_embed.proj",),
            "lora_unet_context_embedder": ("context_embedder",),
        },
    ),
    "flux": Family(
        _flux,
        _call_flux,
        "transformer",
        {
            f"{_DOUBLE}_img_attn_qkv": _qkv("transformer_blocks.0", "to_q", "to_k", "to_v"),
            f"{_DOUBLE}_txt_attn_qkv": _qkv("transformer_blocks.0", "add_q_proj", "add_k_proj", "add_v_proj"),
            f"{_DOUBLE}_txt_mlp_2": ("transformer_blocks.0.ff_context.net.2",),
            f"{_DOUBLE}_img_mod_lin": ("transformer_blocks.0.norm1.linear",),
            f"{_SINGLE}_linear1": (
                *_qkv("single_transformer_blocks.1", "to_q", "to_k", "to_v"),
                "single_transformer_blocks.1.proj_mlp",
            ),
            f"{_SINGLE}_linear2": ("single_transformer_blocks.1.proj_out",),
            "lora_unet_guidance_in_out_layer": ("time_text_embed.guidance_embedder.linear_2",),
            "lora_unet_final_layer_linear": ("proj_out",),
        },
    ),
    "builtin": Family(
        _builtin,
        _call_builtin,
        "transformer",
        _same("fine_in.conv1", "gather", "attend.0.qkv", "near_out.1.conv2", "merge", "shrink"),
    ),
}


Change = dict[str, tuple[Tensor, Tensor, float]]
"""down, up and alpha of each module."""


def random_change(family: Family, network: nn.Module, seed: int) -> Change:
    """Ranks 2 and 3, alphas that are neither; modules that kohya joins share down and alpha."""
    weights, change = network.state_dict(), {}
    for i, modules in enumerate(family.kohya.values()):
        rank, alpha = 2 + i % 2, (1.0, 4.0, 0.5)[i % 3]
        down = 0.3 * noise(seed + 100 * i, rank, *weights[f"{modules[0]}.weight"].shape[1:])
        for j, module in enumerate(modules):
            weight = weights[f"{module}.weight"]
            up = 0.3 * noise(seed + 100 * i + j + 1, weight.shape[0], rank, *(1,) * (weight.ndim - 2))
            change[module] = (down, up, alpha)
    return change


def merged(network: nn.Module, changes: list[tuple[Change, float]]) -> nn.Module:
    """The independent truth: W + weight * alpha / r * up @ down, written into the weights."""
    weights = network.state_dict()
    for change, strength in changes:
        for module, (down, up, alpha) in change.items():
            delta = torch.einsum("or,ri->oi", up.flatten(1), down.flatten(1)) * alpha / down.shape[0]
            weights[f"{module}.weight"] += strength * delta.reshape(weights[f"{module}.weight"].shape)
    network.load_state_dict(weights)
    return network


def write_peft(folder: Path, family: Family, change: Change) -> Path:
    tensors = {f"base_model.model.{m}.lora_A.weight": down for m, (down, _, _) in change.items()}
    tensors |= {f"base_model.model.{m}.lora_B.weight": up for m, (_, up, _) in change.items()}
    folder.mkdir(parents=True)
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **_config(change)}))
    return folder


def write_diffusers(folder: Path, family: Family, change: Change) -> Path:
    tensors = {f"{family.part}.{m}.lora_A.weight": down for m, (down, _, _) in change.items()}
    tensors |= {f"{family.part}.{m}.lora_B.weight": up for m, (_, up, _) in change.items()}
    about = json.dumps({f"{family.part}.{key}": value for key, value in _config(change).items()})
    folder.mkdir(parents=True)
    path = folder / "pytorch_lora_weights.safetensors"
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, path, metadata={"lora_adapter_metadata": about})
    return path


def write_kohya(folder: Path, family: Family, change: Change, more: dict[str, Tensor] | None = None) -> Path:
    tensors = dict(more or {})
    for name, modules in family.kohya.items():
        tensors[f"{name}.lora_down.weight"] = change[modules[0]][0]
        tensors[f"{name}.lora_up.weight"] = torch.cat([change[module][1] for module in modules])
        tensors[f"{name}.alpha"] = torch.tensor(change[modules[0]][2])
    folder.mkdir(parents=True)
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, folder / "kohya.safetensors")
    return folder / "kohya.safetensors"


WRITERS = {"peft": write_peft, "diffusers": write_diffusers, "kohya": write_kohya}


def _config(change: Change) -> dict:
    alphas, ranks = (
        {m: alpha for m, (_, _, alpha) in change.items()},
        {m: len(down) for m, (down, _, _) in change.items()},
    )
    return {
        "r": 2,
        "lora_alpha": 1.0,
        "target_modules": sorted(change),
        "rank_pattern": {"^" + m.replace(".", r"\."): r for m, r in ranks.items() if r != 2},
        "alpha_pattern": {"^" + m.replace(".", r"\."): a for m, a in alphas.items() if a != 1.0},
    }
