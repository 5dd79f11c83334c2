"""Several photographs of one object, with or without poses, as views around the origin."""

from nerf2mesh.inputs.photos.load import load_photos, read_capture

__all__ = ["load_photos", "read_capture"]
