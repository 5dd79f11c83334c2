"""What the header of a weight file may ask for: checked before anything of that size is built or read.

A file is a stranger's. Its header gives the sizes of the network; they are held to the ranges below, and the file's
tensors, by name and shape, to the network that these sizes mean, which is laid out without memory (device "meta").
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from nerf2mesh.priors.builtin.network import DenoiserConfig

RANGES: dict[str, tuple[int, int, int]] = {
    "image_size": (8, 512, 4),
    "patch": (1, 8, 1),
    "channels": (8, 512, 8),
    "volume_size": (2, 64, 2),
    "volume_channels": (8, 512, 8),
    "deep_channels": (8, 1024, 8),
    "n_deep": (0, 32, 1),
    "n_ray_samples": (1, 256, 1),
    "n_words": (0, 10_000, 1),
}
"""Least, most, and of what each is a multiple (groups of 8 channels are normalized together)."""
FLOATS = ("F16", "BF16", "F32")
MAX_HEADER = 1_000_000
"""Characters of the header's JSON."""


def read_json(place: Path, text: str) -> dict[str, Any]:
    """A JSON object from a file's header. ValueError in one line where it is none."""
    try:
        found = json.loads(text) if len(text) <= MAX_HEADER else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(
            f"prior.weights: expected a JSON object in the header of {place}, got {text[:40]!r}; get it anew"
        )
    return found


def checked_config(place: Path, given: dict[str, Any]) -> DenoiserConfig:
    """The network's sizes. ValueError in one line for one that is unknown, no whole number, or outside its range."""
    for name, value in given.items():
        if name not in RANGES:
            raise ValueError(
                f"prior.weights: expected sizes of this version's network in {place}, got {name[:40]!r}; "
                "use a file of nerf2mesh-train-prior"
            )
        least, most, step = RANGES[name]
        if type(value) is not int or not least <= value <= most or value % step:
            wanted = f"{name} of {least} to {most}" + (f" in steps of {step}" if step > 1 else "")
            raise ValueError(f"prior.weights: expected {wanted} in {place}, got {value!r:.40}; get it anew")
    config = DenoiserConfig(**given)
    if config.image_size % (4 * config.patch):
        raise ValueError(
            f"prior.weights: expected an image_size in steps of 4 x patch ({4 * config.patch}) in {place}, got "
            f"{config.image_size}; get it anew"
        )
    return config


def check_tensors(place: Path, config: DenoiserConfig, given: dict[str, tuple[tuple[int, ...], str]]) -> None:
    """Names, shapes and types of a file's tensors against the network of `config`.

    given: shape and safetensors' name of the type, by tensor. ValueError in one line that names the first difference.
    """
    with torch.device("meta"):
        wanted = {key: tuple(value.shape) for key, value in config.build().state_dict().items()}
    lacking, more = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    if lacking or more:
        first = f"no {lacking[0]}" if lacking else f"{more[0]:.80}, which it does not have"
        raise ValueError(
            f"prior.weights: {place} does not fit its own configuration: expected the network's {len(wanted)} tensors, "
            f"got {len(given)} and {first}; get it anew"
        )
    for key, (shape, kind) in given.items():
        if shape != wanted[key] or kind not in FLOATS:
            raise ValueError(
                f"prior.weights: {place} does not fit its own configuration: expected {key} of shape {wanted[key]} in "
                f"{', '.join(FLOATS)}, got {shape} in {kind}; get it anew"
            )
