"""What other people call the layers of a network: from the names in a LoRA file to modules of ours.

kohya's tools write a module's path with "_" for "."; that cannot be undone by rules, so every name is looked up in a
table made from the network itself. Their networks are often not diffusers' but the original authors', with other names
and with layers joined that diffusers keeps apart (one qkv for to_q, to_k, to_v). Those tables:

    Stability's UNet ("sgm", SDXL and older: input_blocks, middle_block, output_blocks),
    Black Forest Labs' FLUX (double_blocks, single_blocks), Stability's MMDiT (SD3: joint_blocks).

Sources: sd-scripts' networks/lora*.py for how names are made; diffusers' loaders/single_file_utils.py for which layer
of theirs is which of diffusers'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Foreign:
    """One layer of another implementation: our modules whose outputs it stacks, in order."""

    name: str
    modules: tuple[str, ...]
    swapped: bool = False
    """The two halves of the outputs (shift, scale) stand in the other order."""


def flat(name: str) -> str:
    """The spelling by which names are compared."""
    return name.replace(".processor.", ".").replace(".", "_")


def layers(network: nn.Module) -> dict[str, Any]:
    """The layers that can carry adapters, by their path, whether or not they carry any already."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    found: dict[str, Any] = {}
    for path, module in network.named_modules():
        if isinstance(module, BaseTunerLayer):
            found[path] = module.get_base_layer()
        elif isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d) and not _inside_adapter(path):
            found[path] = module
    return found


def table(network: nn.Module) -> dict[str, Foreign]:
    """By flat name: every layer under its own name, and under the original authors' where they differ."""
    prefix, _ = core(network)
    own = {flat(path): Foreign(path, (path,)) for path in layers(network)}
    short = {flat(path.removeprefix(prefix)): Foreign(path, (path,)) for path in layers(network)}
    aliases = {}
    for path in layers(network):
        if path.endswith(".to_out.0"):  # diffusers' old attention processors had no list there
            aliases[flat(path.removeprefix(prefix).removesuffix(".0"))] = Foreign(path, (path,))
        # transformers 5 took the "text_model" level out of CLIPTextModel; files still have it
        aliases.setdefault(flat(f"text_model.{path}"), Foreign(path, (path,)))
    foreign = {flat(entry.name): entry for entry in original_names(network)}
    return aliases | foreign | short | own


def original_names(network: nn.Module) -> list[Foreign]:
    """The layers as the original implementation has them; [] where there is none or it has the same names."""
    prefix, inner = core(network)
    present = {path.removeprefix(prefix) for path in layers(network) if path.startswith(prefix)}
    kind = type(inner).__name__
    if kind == "UNet2DConditionModel":
        found = _sgm(present, inner.config.layers_per_block)
    elif kind == "FluxTransformer2DModel":
        found = _flux(present)
    elif kind == "SD3Transformer2DModel":
        found = _mmdit(present)
    else:
        return []
    return [Foreign(f.name, tuple(prefix + module for module in f.modules), f.swapped) for f in found]


def core(network: nn.Module) -> tuple[str, Any]:
    """The diffusers model inside a wrapper, with its path and a dot; the network itself where it is none."""
    for path, module in network.named_modules():
        if type(module).__name__ in ("UNet2DConditionModel", "FluxTransformer2DModel", "SD3Transformer2DModel"):
            return (path + "." if path else ""), module
    return "", network


def _sgm(present: set[str], n_layers: int) -> Iterator[Foreign]:
    """Stability's UNet counts blocks through: every down block is n_layers resnets and a downsampler."""
    stride = n_layers + 1
    parts = {"conv1": "in_layers.2", "conv2": "out_layers.3", "time_emb_proj": "emb_layers.1"}
    parts["conv_shortcut"] = "skip_connection"
    singles = {"conv_in": "input_blocks.0.0", "conv_out": "out.2", "time_embedding.linear_1": "time_embed.0"}
    singles |= {"time_embedding.linear_2": "time_embed.2", "add_embedding.linear_1": "label_emb.0.0"}
    singles["add_embedding.linear_2"] = "label_emb.0.2"
    with_attention = {m.group(1) for m in (re.match(r"up_blocks\.(\d+)\.attentions\.", path) for path in present) if m}
    for path in present:
        if path in singles:
            yield Foreign(singles[path], (path,))
        elif m := re.match(r"(down_blocks|up_blocks)\.(\d+)\.(resnets|attentions)\.(\d+)\.(.+)", path):
            side, block, kind, layer, rest = m[1], int(m[2]), m[3], int(m[4]), m[5]
            place = f"input_blocks.{1 + block * stride + layer}"
            place = place if side == "down_blocks" else f"output_blocks.{block * stride + layer}"
            rest = f"0.{parts.get(rest, rest)}" if kind == "resnets" else f"1.{rest}"
            yield Foreign(f"{place}.{rest}", (path,))
        elif m := re.match(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)", path):
            place, rest = (2 * int(m[2]), parts.get(m[3], m[3])) if m[1] == "resnets" else (1, m[3])
            yield Foreign(f"middle_block.{place}.{rest}", (path,))
        elif m := re.match(r"down_blocks\.(\d+)\.downsamplers\.0\.conv$", path):
            yield Foreign(f"input_blocks.{(int(m[1]) + 1) * stride}.0.op", (path,))
        elif m := re.match(r"up_blocks\.(\d+)\.upsamplers\.0\.conv$", path):
            place = f"output_blocks.{int(m[1]) * stride + n_layers}.{2 if m[1] in with_attention else 1}"
            yield Foreign(f"{place}.conv", (path,))


_EMBEDDERS = {
    "timestep_embedder": ("time_in.in_layer", "time_in.out_layer"),
    "guidance_embedder": ("guidance_in.in_layer", "guidance_in.out_layer"),
    "text_embedder": ("vector_in.in_layer", "vector_in.out_layer"),
}


def _flux(present: set[str]) -> Iterator[Foreign]:
    yield from _if_present(present, "img_in", ("x_embedder",))
    yield from _if_present(present, "txt_in", ("context_embedder",))
    for ours, theirs in _EMBEDDERS.items():
        for i in (1, 2):
            yield from _if_present(present, theirs[i - 1], (f"time_text_embed.{ours}.linear_{i}",))
    yield from _if_present(present, "final_layer.adaLN_modulation.1", ("norm_out.linear",), swapped=True)
    yield from _if_present(present, "final_layer.linear", ("proj_out",))
    for i in _indices(present, "transformer_blocks"):
        a, b = f"transformer_blocks.{i}", f"double_blocks.{i}"
        for side, norm, qkv, out, ff in (
            ("img", "norm1", ("to_q", "to_k", "to_v"), "to_out.0", "ff"),
            ("txt", "norm1_context", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_add_out", "ff_context"),
        ):
            yield from _if_present(present, f"{b}.{side}_mod.lin", (f"{a}.{norm}.linear",))
            yield from _if_present(present, f"{b}.{side}_attn.qkv", tuple(f"{a}.attn.{name}" for name in qkv))
            yield from _if_present(present, f"{b}.{side}_attn.proj", (f"{a}.attn.{out}",))
            yield from _if_present(present, f"{b}.{side}_mlp.0", (f"{a}.{ff}.net.0.proj",))
            yield from _if_present(present, f"{b}.{side}_mlp.2", (f"{a}.{ff}.net.2",))
    for i in _indices(present, "single_transformer_blocks"):
        a, b = f"single_transformer_blocks.{i}", f"single_blocks.{i}"
        joined = (*(f"{a}.attn.{name}" for name in ("to_q", "to_k", "to_v")), f"{a}.proj_mlp")
        yield from _if_present(present, f"{b}.linear1", joined)
        yield from _if_present(present, f"{b}.linear2", (f"{a}.proj_out",))
        yield from _if_present(present, f"{b}.modulation.lin", (f"{a}.norm.linear",))


def _mmdit(present: set[str]) -> Iterator[Foreign]:
    yield from _if_present(present, "x_embedder.proj", ("pos_embed.proj",))
    yield from _if_present(present, "context_embedder", ("context_embedder",))
    for theirs, ours in (("t_embedder", "timestep_embedder"), ("y_embedder", "text_embedder")):
        for i in (1, 2):
            yield from _if_present(present, f"{theirs}.mlp.{2 * i - 2}", (f"time_text_embed.{ours}.linear_{i}",))
    yield from _if_present(present, "final_layer.adaLN_modulation.1", ("norm_out.linear",), swapped=True)
    yield from _if_present(present, "final_layer.linear", ("proj_out",))
    blocks = _indices(present, "transformer_blocks")
    for i in blocks:
        a, b = f"transformer_blocks.{i}", f"joint_blocks.{i}"
        for side, norm, attn, qkv, out, ff in (
            ("x_block", "norm1", "attn", ("to_q", "to_k", "to_v"), "to_out.0", "ff"),
            ("context_block", "norm1_context", "attn", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_add_out",
             "ff_context"),
        ):  # fmt: skip
            last = side == "context_block" and i == blocks[-1]  # its last modulation is diffusers' continuous norm
            yield from _if_present(present, f"{b}.{side}.adaLN_modulation.1", (f"{a}.{norm}.linear",), swapped=last)
            yield from _if_present(present, f"{b}.{side}.attn.qkv", tuple(f"{a}.{attn}.{name}" for name in qkv))
            yield from _if_present(present, f"{b}.{side}.attn.proj", (f"{a}.{attn}.{out}",))
            yield from _if_present(present, f"{b}.{side}.mlp.fc1", (f"{a}.{ff}.net.0.proj",))
            yield from _if_present(present, f"{b}.{side}.mlp.fc2", (f"{a}.{ff}.net.2",))
        second = tuple(f"{a}.attn2.{name}" for name in ("to_q", "to_k", "to_v"))
        yield from _if_present(present, f"{b}.x_block.attn2.qkv", second)
        yield from _if_present(present, f"{b}.x_block.attn2.proj", (f"{a}.attn2.to_out.0",))


def _if_present(present: set[str], name: str, modules: tuple[str, ...], swapped: bool = False) -> Iterator[Foreign]:
    if all(module in present for module in modules):
        yield Foreign(name, modules, swapped)


def _indices(present: set[str], block: str) -> list[int]:
    found = (re.match(rf"{block}\.(\d+)\.", path) for path in present)
    return sorted({int(m[1]) for m in found if m})


def _inside_adapter(path: str) -> bool:
    return any(part in path for part in (".lora_A.", ".lora_B.", ".base_layer"))
