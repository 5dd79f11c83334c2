"""LoRA adapters (Hu et al. 2021, arXiv 2106.09685) on a prior's network: attach, stack with weights, read out, fill.

peft does the work; this room fixes the conventions. Our own adapters have alpha equal to the rank, so that the scale is
1 for every reader; those of others keep the rank and alpha that each of their layers has. Several adapters live on one
network; which are active, and which one learns, is the business of `stacking`, whose functions are here as well.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from nerf2mesh.lora.io import naming
from nerf2mesh.lora.lowrank import LowRank, from_state, to_state
from nerf2mesh.lora.stack import activate, learners_kept, named_layers, names, stack, stacked, train_only, using

__all__ = [
    "ATTENTION",
    "TARGETS",
    "adapter_state",
    "attach",
    "default_targets",
    "layers_of",
    "load_layers",
    "load_state",
    "most_common",
    "names",
    "patterns",
    "remove",
    "stack",
    "stacked",
    "train_only",
    "using",
]

Number = TypeVar("Number", int, float)
TARGETS = ("conv1", "conv2", "qkv", "out", "up", "down", "to_lift", "gather", "merge")
"""The built-in network's layers that take adapters, by the last part of their names."""
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
"""Those of diffusers' networks: the attention projections, as in diffusers' own training scripts."""


def default_targets(network: nn.Module) -> tuple[str, ...]:
    """The layers that a fresh adapter sits on, by the ends of their names."""
    return ATTENTION if any(path.endswith(".to_q") for path in naming.layers(network)) else TARGETS


def attach(network: nn.Module, name: str, rank: int, targets: tuple[str, ...] | None = None) -> None:
    """Adds a fresh adapter, which changes nothing yet, to the active ones; nothing learns until `train_only`.

    targets: ends of module names; None takes `default_targets`.
    """
    targets = targets or default_targets(network)
    found = [path for path in naming.layers(network) if path.endswith(tuple("." + t for t in targets))]
    found = [
        path for path in found if not path.startswith("words.")
    ]  # the built-in network's words: `out` is no target
    found += [path for path in naming.layers(network) if path in targets]
    if not found:
        raise ValueError(
            f"targets: expected ends of the network's module names, got {list(targets)}; none of them is there"
        )
    _inject(network, name, dict.fromkeys(found, (rank, float(rank))))


def remove(network: nn.Module, name: str) -> None:
    """Takes an adapter off; the others stay as they are."""
    from peft.tuners.tuners_utils import delete_adapter

    active = stacked(network)
    if name not in names(network):
        raise ValueError(f"name: expected one of the adapters {names(network)}, got {name!r}; attach it first")
    with learners_kept(network), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft says which adapter it activates instead; `_activate` decides that
        delete_adapter(network, name, prefix="lora_")
        getattr(network, "peft_config", {}).pop(name, None)
    active.pop(name, None)
    activate(network, active)


def adapter_state(network: nn.Module, name: str) -> dict[str, Tensor]:
    """The adapter's tensors (copies, float32, on the CPU) under peft's file keys, and alphas that are not the rank."""
    return to_state(layers_of(network, name))


def layers_of(network: nn.Module, name: str) -> dict[str, LowRank]:
    """The adapter's layers by module name (copies, float32, on the CPU). ValueError where there is no such adapter."""
    found = {
        path: LowRank(_copy(m.lora_A[name].weight), _copy(m.lora_B[name].weight), float(m.lora_alpha[name]))
        for path, m in named_layers(network)
        if name in m.lora_A
    }
    if not found:
        raise ValueError(f"name: expected one of the adapters {names(network)}, got {name!r}; attach it first")
    return found


def load_state(network: nn.Module, name: str, state: dict[str, Tensor]) -> None:
    """Fills adapter `name` from tensors as `adapter_state` gives them; see `load_layers`."""
    load_layers(network, name, from_state(state))


def load_layers(network: nn.Module, name: str, layers: dict[str, LowRank]) -> None:
    """Fills adapter `name`, attaching it if needed, with the rank and alpha that each layer has.

    An adapter of that name is replaced (hot swap): where its layers, ranks and alphas are the same, the very parameters
    stay, so that an optimizer or a compiled network goes on with them; its weight in the stack stays in any case.

    Raises:
        ValueError: layers that are not on this network or of other shapes; nothing has changed then.
    """
    layers = _checked(network, name, layers)
    wanted = {path: (layer.rank, layer.alpha) for path, layer in layers.items()}
    if name in names(network):
        present = {path: (layer.rank, layer.alpha) for path, layer in layers_of(network, name).items()}
        if present != wanted:
            active = stacked(network)
            remove(network, name)
            _inject(network, name, wanted)
            activate(network, active)
    else:
        _inject(network, name, wanted)
    with torch.no_grad():
        for path, module in named_layers(network):
            if path in layers:
                module.lora_A[name].weight.copy_(layers[path].down)
                module.lora_B[name].weight.copy_(layers[path].up)


def _inject(network: nn.Module, name: str, wanted: dict[str, tuple[int, float]]) -> None:
    """Puts a fresh adapter of the given (rank, alpha) on exactly these modules; it joins the active ones."""
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.tuners_utils import cast_adapter_dtype

    if not name or "." in name:
        raise ValueError(f"name: expected an adapter name without dots, got {name!r}; rename it")
    if name in names(network):
        raise ValueError(f"name: expected a new adapter name, got {name!r}, which is there already; choose another")
    active = stacked(network)
    ranks = {path: rank for path, (rank, _) in wanted.items()}
    alphas = {path: alpha for path, (_, alpha) in wanted.items()}
    config = LoraConfig(
        r=most_common(ranks),
        lora_alpha=most_common(alphas),  # pyright: ignore[reportArgumentType]  # peft multiplies and divides by it
        rank_pattern=patterns(ranks),
        alpha_pattern=dict[str, Any](patterns(alphas)),
        target_modules=_any_of(wanted),
        init_lora_weights=True,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several adapters are meant
        inject_adapter_in_model(config, network, adapter_name=name)
    cast_adapter_dtype(network, name)  # float32 also on half-precision networks: to learn, and to be read exactly
    activate(network, active | {name: 1.0})
    network.requires_grad_(False)


def _checked(network: nn.Module, name: str, layers: dict[str, LowRank]) -> dict[str, LowRank]:
    """The layers in the shapes of this network. ValueError that names the first that does not fit."""
    there = naming.layers(network)
    unknown = sorted(path for path in layers if path not in there)
    if not layers or unknown:
        example = f", such as {unknown[0]}" if unknown else ""
        raise ValueError(
            f"adapter {name!r}: expected layers of this network, got {len(unknown)} of {len(layers)} unknown{example}; "
            "use one that was trained on this prior"
        )
    fitted = {}
    for path, layer in layers.items():
        weight = there[path].weight
        down = torch.empty(layer.rank, *weight.shape[1:], device="meta")
        up = torch.empty(weight.shape[0], layer.rank, *(1,) * (weight.ndim - 2), device="meta")
        fitting = layer.shaped_like(down, up)
        if fitting is None:
            got = f"{tuple(layer.down.shape)} and {tuple(layer.up.shape)}"
            raise ValueError(
                f"adapter {name!r}: expected {path} of shape {tuple(down.shape)} and {tuple(up.shape)}, got {got}; "
                "use one that was trained on this prior"
            )
        fitted[path] = fitting
    return fitted


def patterns(values: Mapping[str, Number]) -> dict[str, Number]:
    """peft's regular expressions for the modules whose value is not the most common one."""
    usual = most_common(values)
    others = sorted(set(values.values()) - {usual})
    return {"^" + _any_of(path for path in values if values[path] == other): other for other in others}


def _any_of(paths: Iterable[str]) -> str:
    return "(" + "|".join(re.escape(path) for path in paths) + ")"


def most_common(values: Mapping[str, Number]) -> Number:
    """The usual rank or alpha."""
    return Counter(values.values()).most_common(1)[0][0]


def _copy(value: Tensor) -> Tensor:
    return value.detach().float().cpu().clone()
