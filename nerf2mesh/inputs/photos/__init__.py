"""Several photographs of one object, with or without poses, as views around the origin."""

from nerf2mesh.inputs.photos.load import load_photos, read_capture
from nerf2mesh.inputs.photos.told import awaits_azimuths, load_unplaced

__all__ = ["awaits_azimuths", "load_photos", "load_unplaced", "read_capture"]
