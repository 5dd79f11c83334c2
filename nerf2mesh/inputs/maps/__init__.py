"""Depth and normal maps that come with a picture."""

from nerf2mesh.inputs.maps.attach import Maps, read_maps

__all__ = ["Maps", "read_maps"]
