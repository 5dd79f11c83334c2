"""Files of the segmentation network (`network_files`)."""

from __future__ import annotations

from pathlib import Path

from nerf2mesh.inputs.network_files import NetworkFile, read_training
from nerf2mesh.inputs.segmentation.network import SegmentationConfig, SegmentationNetwork

__all__ = ["FILE", "PACKAGED", "read_network", "read_training", "write_network"]
PACKAGED = Path(__file__).with_name("foreground.safetensors")
FILE = NetworkFile(
    SegmentationNetwork, SegmentationConfig, "input.foreground_weights", "nerf2mesh-train-foreground", PACKAGED
)
read_network, write_network = FILE.read, FILE.write
