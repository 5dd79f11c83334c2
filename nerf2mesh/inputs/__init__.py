"""What the user brings -> Observations."""

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.load import demo_picture, load_observations

__all__ = ["InputConfig", "demo_picture", "load_observations"]
