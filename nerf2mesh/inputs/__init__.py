"""What the user brings -> Observations."""

from nerf2mesh.inputs.candidates import UncertainMask, candidates_in
from nerf2mesh.inputs.config import InputConfig, PhotosConfig
from nerf2mesh.inputs.load import demo_picture, load_observations
from nerf2mesh.inputs.memory import PictureInMemory, picture_bytes
from nerf2mesh.inputs.photos import awaits_azimuths, load_unplaced

__all__ = [
    "InputConfig",
    "PhotosConfig",
    "PictureInMemory",
    "UncertainMask",
    "awaits_azimuths",
    "candidates_in",
    "demo_picture",
    "load_observations",
    "load_unplaced",
    "picture_bytes",
]
