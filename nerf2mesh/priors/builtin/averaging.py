"""The mean of several trainings' weights (Wortsman et al. 2022, "Model soups", arXiv 2203.05482)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from nerf2mesh.priors.builtin.data import data_card
from nerf2mesh.priors.builtin.weight_files import export_network, mesh_sources, read_network, read_training
from nerf2mesh.utils.atomic_write import atomic_write_text


@torch.no_grad()
def average_weights(paths: Sequence[str | Path], output_dir: str | Path) -> Path:
    """Writes the mean of the networks at `paths` as OUTPUT_DIR/prior.safetensors and returns its path.

    The header says how each came about and whose meshes they saw. ValueError where they are of different sizes, or
    fewer than two.
    """
    files = [Path(path) for path in paths]
    if len(files) < 2:
        raise ValueError(f"average: expected two or more weight files, got {len(files)}; name them all: average=[a,b]")
    networks = [read_network(file) for file in files]
    first = networks[0]
    for file, network in zip(files, networks, strict=True):
        if network.config != first.config:
            raise ValueError(f"average: expected {file} to be {first.config}, got {network.config}; leave it out")
    states = [network.state_dict() for network in networks]
    first.load_state_dict({key: torch.stack([state[key] for state in states]).mean(0) for key in states[0]})
    sources = [source for file in files for source in mesh_sources(file)]
    sources = [source for i, source in enumerate(sources) if source not in sources[:i]]
    path = Path(output_dir) / "prior.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    export_network(first, {"averaged": [read_training(file) for file in files], "meshes": sources}, path)
    if sources:
        atomic_write_text(path.parent / "DATA.md", data_card(sources))
    return path
