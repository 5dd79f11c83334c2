"""Colors of a part that trimesh has read: its texture, or the factor that its material gives, or colors beside these.

Textures may be a stranger's: their size and format are looked at before their pixels are made.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from nerf2mesh.mesh.color_space import linear_to_srgb, srgb_to_linear

MAX_PICTURE_PX = 2**26
"""Of a texture: 8192 x 8192."""
PICTURES = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "TGA", "TIFF", "GIF")
"""Pillow's names. Others are left alone: to read an EPS, Pillow would start Ghostscript."""


def multiplied(texture: np.ndarray, factor: np.ndarray, is_gltf: bool) -> np.ndarray:
    """An sRGB texture times a color factor, in linear light where the format says so."""
    if (factor == 1.0).all():
        return texture
    levels = np.repeat(np.arange(256)[:, None] / 255.0, 3, axis=1)
    table = linear_to_srgb(srgb_to_linear(levels) * factor) if is_gltf else levels * factor
    table = np.round(255.0 * np.clip(np.nan_to_num(table), 0.0, 1.0)).astype(np.uint8)
    colors = [table[texture[..., k], k] for k in range(3)]
    return np.stack([*colors, *np.moveaxis(texture[..., 3:], -1, 0)], axis=-1)


def colors_of(mesh: Any) -> np.ndarray:
    """Colors [V, 3] that a reader kept beside a material, else ones."""
    for attributes in (mesh.visual.vertex_attributes, mesh.vertex_attributes):
        colors = attributes.get("color")
        if colors is not None and len(colors) == len(mesh.vertices):
            return np.asarray(colors)[:, :3] / (255.0 if colors.dtype.kind == "u" else 1.0)
    return np.ones((len(mesh.vertices), 3))


def material_of(material: Any) -> tuple[np.ndarray | None, np.ndarray]:
    """Base color image (uint8) or None, and the factor [3] that multiplies it."""
    image = getattr(material, "baseColorTexture", None)
    factor = getattr(material, "baseColorFactor", None)
    if hasattr(material, "diffuse"):
        # An OBJ's Kd beside a map_Kd is ignored by most readers, and exporters write arbitrary values there.
        image = material.image
        factor = None if image is not None else material.diffuse
    factor = np.ones(3) if factor is None else np.asarray(factor)[:3]
    factor = factor / 255.0 if factor.dtype.kind == "u" else factor.astype(np.float64)
    if image is None:
        return None, factor
    return picture_pixels(image), factor


def picture_pixels(image: Any) -> np.ndarray:
    """A texture that Pillow has opened, as uint8 [h, w, 3 or 4]. ValueError where it is damaged, huge or exotic."""
    if image.format not in (*PICTURES, None):
        raise ValueError(f"a texture of the format {image.format}")
    if image.width * image.height > MAX_PICTURE_PX:
        raise ValueError(f"a texture of {image.width} x {image.height} px")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.asarray(image.convert("RGBA" if "A" in image.getbands() else "RGB"))
        except Exception as error:  # Pillow's readers raise whatever the bytes lead them to
            raise ValueError(f"a damaged texture: {type(error).__name__} {error}") from error
