"""Files of the viewpoint network (`network_files`)."""

from __future__ import annotations

from pathlib import Path

from nerf2mesh.inputs.network_files import NetworkFile, read_training
from nerf2mesh.inputs.viewpoint.network import ViewpointConfig, ViewpointNetwork

__all__ = ["FILE", "PACKAGED", "read_network", "read_training", "write_network"]
PACKAGED = Path(__file__).with_name("viewpoint.safetensors")
FILE = NetworkFile(ViewpointNetwork, ViewpointConfig, "viewpoint", "nerf2mesh-train-viewpoint", PACKAGED)
read_network, write_network = FILE.read, FILE.write
