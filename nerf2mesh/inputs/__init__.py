"""What the user brings -> Observations."""

from nerf2mesh.inputs.config import InputConfig, PhotosConfig
from nerf2mesh.inputs.load import demo_picture, load_observations
from nerf2mesh.inputs.memory import PictureInMemory, picture_bytes

__all__ = ["InputConfig", "PhotosConfig", "PictureInMemory", "demo_picture", "load_observations", "picture_bytes"]
