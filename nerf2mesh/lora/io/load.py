"""LoRA files onto a prior: names looked up, joined layers taken apart, text encoders served where they are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from nerf2mesh.lora import adapters
from nerf2mesh.lora.io import naming
from nerf2mesh.lora.io.files import DENOISER, LoraFile, read
from nerf2mesh.lora.lowrank import LowRank, to_state
from nerf2mesh.priors.base import Prior, TextChange
from nerf2mesh.report import sha256_file

TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
MIN_SHARE = 0.5
"""Of the denoiser's layers in a file: with fewer on the prior, the adapter was made for another network."""


@dataclass(frozen=True)
class Loaded:
    """What became of a file: layers put on each part of the model, and what was left out, by the file's names."""

    path: Path
    applied: dict[str, int]
    unmatched: tuple[str, ...]
    """Names of layers that the network does not have."""
    skipped: dict[str, int]
    """Layers of text encoders that the prior does not have."""
    foreign: dict[str, list[str]] = field(default_factory=dict)
    """What the file holds besides layers of plain LoRA, by kind; see `LoraFile.left_out`."""

    def message(self) -> str:
        """In one line what was left out; "" where nothing was."""
        return f"lora.adapters: {self.path}: left out {self.reasons()}" if self.reasons() else ""

    def reasons(self) -> str:
        """What was left out and why; "" where nothing was."""
        parts = []
        if self.unmatched:
            parts.append(f"{len(self.unmatched)} layers are not on this prior ({_few(self.unmatched)})")
        parts += [f"{count} layers of {part}, which is not loaded" for part, count in self.skipped.items()]
        parts += [f"{len(names)} {kind} ({_few(names)})" for kind, names in self.foreign.items()]
        return "; ".join(parts)


def _few(names: Sequence[str]) -> str:
    return ", ".join(name[:80] for name in names[:3]) + (", ..." if len(names) > 3 else "")


def load_adapter(prior: Prior, name: str, path: str | Path, *, text_weight: float = 1.0) -> Loaded:
    """Puts a file on the prior as adapter `name`, active with weight 1; replaces an adapter of that name.

    Any of the formats of `files`, for any network. Left-out layers give one warning that names them. Layers of text
    encoders go onto those that later calls of `condition` load to embed words, with `text_weight`.

    Raises:
        ValueError: an unreadable file, or one of which less than MIN_SHARE of the denoiser's layers are on this prior.
    """
    file = read(path)
    layers, unmatched = fitted(file.parts.get(DENOISER, {}), prior.network)
    n_fitting = len(file.parts.get(DENOISER, {})) - len(unmatched)
    if n_fitting and n_fitting < MIN_SHARE * file.n_denoiser:
        left_out = Loaded(file.path, {}, tuple(unmatched), {}, file.left_out)
        raise ValueError(
            f"lora.adapters: expected at least {MIN_SHARE:.0%} of the layers in {file.path} on this prior, got "
            f"{n_fitting} of {file.n_denoiser} ({left_out.reasons()}); use an adapter that was trained on this prior"
        )
    applied, skipped = {}, {}
    if layers:
        adapters.load_layers(prior.network, name, layers)
        applied[DENOISER] = len(layers)
    for part in TEXT_ENCODERS:
        given = file.parts.get(part, {})
        if given and prior.change_text_encoder(part, name, _when_loaded(file, part, name, text_weight)):
            applied[part] = len(given)
        elif given:
            skipped[part] = len(given)
    loaded = Loaded(file.path, applied, tuple(unmatched), skipped, file.left_out)
    if not applied:
        raise ValueError(
            f"lora.adapters: expected layers of this prior, got none: {loaded.message() or file.path}; "
            "use an adapter that was trained on this prior"
        )
    if loaded.message():
        warnings.warn(loaded.message(), stacklevel=2)
    return loaded


def fitted(given: dict[str, LowRank], network: nn.Module) -> tuple[dict[str, LowRank], list[str]]:
    """The layers by modules of the network, and the names that it does not know."""
    known = naming.table(network)
    sizes = {path: layer.weight.shape[0] for path, layer in naming.layers(network).items()}
    layers: dict[str, LowRank] = {}
    unmatched = []
    for name, layer in given.items():
        entry = known.get(naming.flat(name))
        if entry is None or sum(sizes[module] for module in entry.modules) != layer.up.shape[0]:
            unmatched.append(name)
            continue
        layer = layer.halves_exchanged() if entry.swapped else layer
        start = 0
        for module in entry.modules:
            layers[module] = layer.rows(start, start + sizes[module]) if len(entry.modules) > 1 else layer
            start += sizes[module]
    return layers, unmatched


def _when_loaded(file: LoraFile, part: str, name: str, weight: float) -> TextChange:
    """The adapter for a text encoder that is loaded later."""

    def apply(encoder: nn.Module) -> None:
        found, missing = fitted(file.parts[part], encoder)
        if missing:
            left_out = Loaded(file.path, {}, tuple(f"{part}.{module}" for module in missing), {})
            warnings.warn(left_out.message(), stacklevel=2)
        if found:
            adapters.load_layers(encoder, name, found)
            adapters.stack(encoder, adapters.stacked(encoder) | {name: weight})

    return TextChange(f"{sha256_file(file.path)} {weight}", apply)


def read_adapter(path: Path) -> dict[str, Tensor]:
    """The denoiser's tensors of a file whose names are those of our network; see `adapters.load_state`."""
    file: LoraFile = read(path)
    return to_state(file.parts.get(DENOISER, {}))
