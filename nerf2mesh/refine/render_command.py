"""nerf2mesh-render: a picture of a mesh or a run to paint over, and its camera as JSON beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nerf2mesh import __version__
from nerf2mesh.mesh.export.gltf import png_bytes
from nerf2mesh.refine.camera_file import write_camera
from nerf2mesh.refine.held import straight
from nerf2mesh.refine.source import load_source
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import DEFAULT_DISTANCE, DEFAULT_FOV_DEG, Camera
from nerf2mesh.utils.argument_parser import ArgumentParser
from nerf2mesh.utils.atomic_write import atomic_write_bytes

SIZES_PX = (16, 4096)


def main(arguments: Sequence[str]) -> None:
    """Writes PICTURE.png (transparent around the object) and PICTURE.json. ValueError in one line."""
    parser = ArgumentParser("nerf2mesh-render", description=__doc__)
    parser.add_argument("source", help="a run folder, or a mesh file")
    parser.add_argument("picture", type=Path, help="the PNG to write; the camera is written beside it")
    parser.add_argument("--azimuth", type=float, default=0.0, help="degrees; 0 looks at the front, 90 at its left side")
    parser.add_argument("--elevation", type=float, default=15.0, help="degrees above the horizon")
    parser.add_argument("--size", type=int, default=768, help="side in pixels")
    parser.add_argument("--orthographic", action="store_true")
    parser.add_argument("--version", action="version", version=f"nerf2mesh {__version__}")
    asked = parser.parse_args(arguments)
    paths = render_source(
        asked.source,
        asked.picture,
        azimuth_deg=asked.azimuth,
        elevation_deg=asked.elevation,
        size_px=asked.size,
        orthographic=asked.orthographic,
    )
    print("\n".join(["done", *(f"  {path}" for path in paths)]))


def render_source(
    source: str | Path,
    picture: Path,
    *,
    azimuth_deg: float = 0.0,
    elevation_deg: float = 15.0,
    size_px: int = 768,
    orthographic: bool = False,
) -> list[Path]:
    """Draws the mesh without light, so that what is painted are its own colors; the two files.

    Raises:
        ValueError: there is no mesh, or a number is out of bounds.
    """
    if picture.suffix.lower() != ".png":
        raise ValueError(f"picture: expected a PNG, which keeps transparency, got {picture.name}; call it .png")
    if not SIZES_PX[0] <= size_px <= SIZES_PX[1]:
        raise ValueError(f"--size: expected {SIZES_PX[0]} to {SIZES_PX[1]} px, got {size_px}; choose another")
    if not -90.0 <= elevation_deg <= 90.0:
        raise ValueError(f"--elevation: expected -90 to 90 degrees, got {elevation_deg:g}; choose another")
    if not -3600.0 <= azimuth_deg <= 3600.0:
        raise ValueError(f"--azimuth: expected -3600 to 3600 degrees, got {azimuth_deg:g}; choose another")
    found = load_source(source)
    camera = Camera.orbit(
        azimuth_deg,
        elevation_deg,
        distance=DEFAULT_DISTANCE,
        fov_deg=DEFAULT_FOV_DEG,
        width_px=size_px,
        orthographic=orthographic,
    )
    pixels = straight(rasterize_mesh(found.mesh, camera, supersample=3))
    picture.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(picture, png_bytes(np.round(255.0 * pixels.numpy()).astype(np.uint8)))
    return [picture, write_camera(picture.with_suffix(".json"), found.placement.back(camera))]
