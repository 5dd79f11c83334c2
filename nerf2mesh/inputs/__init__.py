"""What the user brings -> Observations."""

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.load import load_observations

__all__ = ["InputConfig", "load_observations"]
