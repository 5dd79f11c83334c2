"""Which adapters of a network are active, with which weights, and which one learns.

peft's own toggles also switch `requires_grad`, so that toggling between a forward and its backward pass leaves an
adapter without gradients; those here never touch `requires_grad` of a learner.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


def names(network: nn.Module) -> list[str]:
    """The adapters on the network, in the order in which they came; each need not be on every layer."""
    return list(dict.fromkeys(name for layer in _layers(network) for name in layer.lora_A))


def stacked(network: nn.Module) -> dict[str, float]:
    """The active adapters with their weights."""
    found: dict[str, float] = {}
    for layer in _layers(network):
        if not layer.disable_adapters:
            for name in layer.active_adapters:
                if name in layer.lora_A:
                    found[name] = layer.scaling[name] * layer.r[name] / layer.lora_alpha[name]
    return found


def stack(network: nn.Module, weights: dict[str, float]) -> None:
    """Activates exactly these adapters, each times its weight; {} gives the bare network. Afterwards nothing learns."""
    activate(network, weights)
    network.requires_grad_(False)


@contextmanager
def using(network: nn.Module, weights: dict[str, float]) -> Iterator[None]:
    """Inside, exactly these adapters are active, each times its weight; afterwards, also after an exception, what was.

    {} gives the bare network, bit for bit. `requires_grad` stays as it is: an adapter that learns (`train_only`) gets
    its gradient whether the backward pass runs inside or after. Only with gradient checkpointing, which runs the
    forward pass again, must the backward pass be inside.

    Raises:
        ValueError: an adapter that is not on the network; nothing has changed then.
    """
    layers = list(_layers(network))
    before = [(layer.active_adapters, layer.disable_adapters, dict(layer.scaling)) for layer in layers]
    activate(network, weights)
    try:
        yield
    finally:
        with learners_kept(network):
            for layer, (active, disabled, scaling) in zip(layers, before, strict=True):
                layer.set_adapter(list(active))
                layer.enable_adapters(not disabled)
                layer.scaling.update(scaling)


def activate(network: nn.Module, weights: dict[str, float]) -> None:
    """Like `stack`, but leaves `requires_grad` as it is.

    Raises:
        ValueError: an adapter that is not on the network; nothing has changed then.
    """
    unknown = sorted(set(weights) - set(names(network)))
    if unknown:
        raise ValueError(f"weights: expected adapters out of {names(network)}, got {unknown}; load them first")
    with learners_kept(network):
        for layer in _layers(network):
            if weights:
                layer.set_adapter(list(weights))
            layer.enable_adapters(bool(weights))
            for name, weight in weights.items():
                layer.set_scale(name, weight)


@contextmanager
def learners_kept(network: nn.Module) -> Iterator[None]:
    """Puts `requires_grad` back as it was: peft's toggles change it."""
    before = [(p, p.requires_grad) for p in network.parameters()]
    try:
        yield
    finally:
        for parameter, learns in before:
            parameter.requires_grad_(learns)


def train_only(network: nn.Module, name: str) -> list[nn.Parameter]:
    """Lets one active adapter learn, nothing else; returns its parameters."""
    network.requires_grad_(False)
    parameters = [p for key, p in network.named_parameters() if _belongs(key, name)]
    if not parameters:
        raise ValueError(f"name: expected one of the adapters {names(network)}, got {name!r}; attach it first")
    for parameter in parameters:
        parameter.requires_grad_(True)
    return parameters


def named_layers(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """The modules that carry adapters (peft's LoraLayer), by path."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return ((path, module) for path, module in network.named_modules() if isinstance(module, BaseTunerLayer))


def _layers(network: nn.Module) -> Iterator[Any]:
    return (module for _, module in named_layers(network))


def _belongs(key: str, name: str) -> bool:
    return f".lora_A.{name}." in key or f".lora_B.{name}." in key
