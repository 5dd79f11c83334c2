"""Files of the segmentation network (`network_files`)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from nerf2mesh.inputs import network_files
from nerf2mesh.inputs.network_files import read_training
from nerf2mesh.inputs.segmentation.network import SegmentationConfig, SegmentationNetwork

__all__ = ["PACKAGED", "read_network", "read_training", "write_network"]
PACKAGED = Path(__file__).with_name("foreground.safetensors")


def write_network(network: SegmentationNetwork, training: dict[str, object], path: Path) -> None:
    """Writes `network` as float16, aside and renamed; `training` says how it came about."""
    network_files.write_network(network, vars(network.config), training, path)


@lru_cache(maxsize=2)
def read_network(path: Path) -> SegmentationNetwork:
    """The network stored at `path`, for inference. ValueError in one line where it is missing, foreign or torn."""

    def build(sizes: dict) -> SegmentationNetwork:
        given = {"size_px": sizes["size_px"], "channels": list(sizes["channels"]), "n_deep": sizes["n_deep"]}
        return SegmentationNetwork(SegmentationConfig(**given))

    def refused(why: str) -> ValueError:
        return ValueError(
            f"input.foreground_weights: {path}: {why}; give a file of nerf2mesh-train-foreground, or none"
        )

    return network_files.read_network(path, build, refused)
