"""Rendering of fields (volume) and meshes (rasterizer) to pictures."""

from nerf2mesh.render.config import RendererConfig
from nerf2mesh.render.occupancy import OccupancyGrid
from nerf2mesh.render.rasterizer import rasterize_mesh
from nerf2mesh.render.volume import VolumeRenderer

__all__ = ["OccupancyGrid", "RendererConfig", "VolumeRenderer", "rasterize_mesh"]
