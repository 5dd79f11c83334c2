"""Files of the normals network (`network_files`)."""

from __future__ import annotations

from pathlib import Path

from nerf2mesh.inputs.network_files import NetworkFile, read_training
from nerf2mesh.inputs.normals.network import NormalsConfig, NormalsNetwork

__all__ = ["FILE", "PACKAGED", "read_network", "read_training", "write_network"]
PACKAGED = Path(__file__).with_name("normals.safetensors")
FILE = NetworkFile(NormalsNetwork, NormalsConfig, "normals", "nerf2mesh-train-normals", PACKAGED)
read_network, write_network = FILE.read, FILE.write
