"""Files of the normals network (`network_files`)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from nerf2mesh.inputs import network_files
from nerf2mesh.inputs.network_files import read_training
from nerf2mesh.inputs.normals.network import NormalsConfig, NormalsNetwork

__all__ = ["PACKAGED", "read_network", "read_training", "write_network"]
PACKAGED = Path(__file__).with_name("normals.safetensors")


def write_network(network: NormalsNetwork, training: dict[str, object], path: Path) -> None:
    """Writes `network` as float16, aside and renamed; `training` says how it came about."""
    network_files.write_network(network, vars(network.config), training, path)


@lru_cache(maxsize=2)
def read_network(path: Path = PACKAGED) -> NormalsNetwork:
    """The network stored at `path`, for inference. ValueError in one line where it is missing, foreign or torn."""

    def build(sizes: dict) -> NormalsNetwork:
        return NormalsNetwork(NormalsConfig(size_px=sizes["size_px"], channels=list(sizes["channels"])))

    def refused(why: str) -> ValueError:
        return ValueError(f"normals: {path}: {why}; give a file of nerf2mesh-train-normals, or install anew")

    return network_files.read_network(path, build, refused)
