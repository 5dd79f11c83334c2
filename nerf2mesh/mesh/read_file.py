"""Reads mesh files with trimesh into the world frame; several textured parts are joined into one texture atlas.

The result is plain arrays: `TriangleMesh.from_file` makes a mesh of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from nerf2mesh.mesh.color_space import linear_to_srgb, srgb_to_linear
from nerf2mesh.mesh.vectors import unit

FORMATS = (".obj", ".glb", ".gltf", ".ply", ".stl", ".off")
DEFAULT_GREY = 0.8


@dataclass(frozen=True)
class MeshArrays:
    """What a mesh file holds, with the shapes and meanings of `TriangleMesh`'s fields."""

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    vertex_normals: Float[np.ndarray, "v 3"] | None = None
    vertex_colors: Float[np.ndarray, "v 3"] | None = None
    uv: Float[np.ndarray, "f 3 2"] | None = None
    texture: UInt8[np.ndarray, "h w c"] | None = None


def read_mesh_file(path: Path, *, up: str = "y", front: str = "z") -> MeshArrays:
    """The triangles of a file, turned into the world frame; vertices are split at seams as in the file.

    up, front: the file's axes, see `TriangleMesh.from_file`.
    Raises FileNotFoundError where there is no file, and ValueError where it holds no triangle or cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"path: expected a mesh file, got {path}, which does not exist; give an existing file")
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"path: expected a file of {', '.join(FORMATS)}, got {path.name!r}; convert it first")
    turn = axis_turn(up, front)
    parts = [part for part in _read_parts(path) if len(part.faces)]
    if not parts:
        raise ValueError(f"path: expected triangles, got none in {path}; give a mesh, not a point cloud")
    mesh = _join(parts)
    normals = None if mesh.vertex_normals is None else mesh.vertex_normals @ turn.T
    return replace(mesh, vertices=mesh.vertices @ turn.T, vertex_normals=normals)


def axis_turn(up: str, front: str) -> np.ndarray:
    """The rotation [3, 3] from a file's axes to the world frame (+Z up, front +X).

    Raises ValueError where `up` and `front` are not two different axes.
    """
    axes = {sign + name: value * np.eye(3)[k] for k, name in enumerate("xyz") for sign, value in (("", 1), ("-", -1))}
    if up not in axes or front not in axes or up[-1] == front[-1]:
        raise ValueError(
            f"up, front: expected two different axes of {', '.join(sorted(axes))}, got up={up!r}, front={front!r}; "
            "name the file's own axes"
        )
    return np.stack([axes[front], np.cross(axes[up], axes[front]), axes[up]])


def _read_parts(path: Path) -> list[MeshArrays]:
    import trimesh

    try:
        scene = trimesh.load(path, process=False)
    except Exception as error:  # readers raise whatever the bytes lead them to
        raise ValueError(
            f"path: expected a valid {path.suffix} file, got {path} ({error}); export the mesh again"
        ) from error
    is_gltf = path.suffix.lower() in (".glb", ".gltf")
    if not isinstance(scene, trimesh.Scene):
        return [_part(scene, is_gltf)] if isinstance(scene, trimesh.Trimesh) else []
    parts = []
    for name in scene.graph.nodes_geometry:
        transform, geometry = scene.graph[name]
        shape = scene.geometry[geometry]
        if isinstance(shape, trimesh.Trimesh):
            parts.append(_placed(_part(shape, is_gltf), np.asarray(transform)))
    return parts


def _placed(part: MeshArrays, transform: np.ndarray) -> MeshArrays:
    """The part at its place in the scene [4, 4]; a mirroring reverses the winding, so that outside stays outside."""
    linear = transform[:3, :3]
    mirrored = np.linalg.det(linear) < 0.0
    normals = None if part.vertex_normals is None else unit(part.vertex_normals @ np.linalg.inv(linear))
    return replace(
        part,
        vertices=part.vertices @ linear.T + transform[:3, 3],
        faces=part.faces[:, ::-1] if mirrored else part.faces,
        vertex_normals=normals,
        uv=part.uv[:, ::-1] if mirrored and part.uv is not None else part.uv,
    )


def _part(mesh: Any, is_gltf: bool) -> MeshArrays:
    """One trimesh object; a plain material color becomes vertex colors. glTF's colors and factors are linear."""
    normals = mesh.vertex_normals if "vertex_normals" in mesh._cache else None
    uv = texture = colors = None
    if mesh.visual.kind == "vertex":
        colors = np.asarray(mesh.visual.vertex_colors)[:, :3] / 255.0
    elif mesh.visual.kind == "texture":
        texture, factor = _material(mesh.visual.material)
        if texture is not None and mesh.visual.uv is not None:
            uv = np.asarray(mesh.visual.uv)[mesh.faces]
            texture = _multiplied(texture, factor, is_gltf)
        else:
            texture, colors = None, _colors(mesh) * factor
            colors = linear_to_srgb(colors) if is_gltf else colors
    return MeshArrays(
        np.asarray(mesh.vertices, np.float64),
        np.asarray(mesh.faces, np.int64),
        None if normals is None else np.asarray(normals, np.float64),
        None if colors is None else colors.astype(np.float32),
        None if uv is None else uv.astype(np.float32),
        texture,
    )


def _multiplied(texture: np.ndarray, factor: np.ndarray, is_gltf: bool) -> np.ndarray:
    """An sRGB texture times a color factor, in linear light where the format says so."""
    if (factor == 1.0).all():
        return texture
    colors = texture[..., :3] / 255.0
    colors = linear_to_srgb(srgb_to_linear(colors) * factor) if is_gltf else colors * factor
    return np.concatenate([np.round(255.0 * colors).astype(np.uint8), texture[..., 3:]], axis=-1)


def _colors(mesh: Any) -> np.ndarray:
    """Colors [V, 3] that a reader kept beside a material, else ones."""
    for attributes in (mesh.visual.vertex_attributes, mesh.vertex_attributes):
        colors = attributes.get("color")
        if colors is not None and len(colors) == len(mesh.vertices):
            return np.asarray(colors)[:, :3] / (255.0 if colors.dtype.kind == "u" else 1.0)
    return np.ones((len(mesh.vertices), 3))


def _material(material: Any) -> tuple[np.ndarray | None, np.ndarray]:
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
    return np.asarray(image.convert("RGBA" if "A" in image.getbands() else "RGB")), factor


def _join(parts: list[MeshArrays]) -> MeshArrays:
    """One set of arrays; normals only where every part has them."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    vertices = np.concatenate([part.vertices for part in parts])
    faces = np.concatenate([part.faces + offset for part, offset in zip(parts, offsets)])
    known = [part.vertex_normals for part in parts if part.vertex_normals is not None]
    normals = np.concatenate(known) if len(known) == len(parts) else None
    if all(part.texture is None for part in parts):
        grey = [np.full((len(part.vertices), 3), DEFAULT_GREY) for part in parts]
        colors = [g if part.vertex_colors is None else part.vertex_colors for part, g in zip(parts, grey)]
        painted = any(part.vertex_colors is not None for part in parts)
        return MeshArrays(vertices, faces, normals, np.concatenate(colors) if painted else None)
    uv, texture = _atlas(parts)
    return MeshArrays(vertices, faces, normals, None, uv, texture)


def _atlas(parts: list[MeshArrays]) -> tuple[np.ndarray, np.ndarray]:
    """Tiles side by side in a square arrangement; a part without a texture gets a tile of its mean color.

    A face that spans more than one repeat of its texture cannot be shown by an atlas and is clipped to one tile.
    """
    side = int(np.ceil(np.sqrt(len(parts))))
    size = max(max(part.texture.shape[:2]) if part.texture is not None else 1 for part in parts)
    atlas, uvs = np.zeros((side * size, side * size, 3), np.uint8), []
    for k, part in enumerate(parts):
        row, column = divmod(k, side)
        tile, uv = _tile(part, size)
        atlas[row * size : (row + 1) * size, column * size : (column + 1) * size] = tile
        uvs.append((uv + np.array([column, side - 1 - row])) / side)
    return np.concatenate(uvs), atlas


def _tile(part: MeshArrays, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The part's picture [size, size, 3] (or one color [3]) and its uv within that tile."""
    from PIL import Image

    if part.texture is None or part.uv is None:
        color = np.full(3, DEFAULT_GREY) if part.vertex_colors is None else part.vertex_colors.mean(0)
        return np.round(255 * color).astype(np.uint8), np.full((len(part.faces), 3, 2), 0.5)
    tile = np.asarray(Image.fromarray(part.texture[..., :3]).resize((size, size), Image.Resampling.LANCZOS))
    uv = part.uv - np.floor(part.uv.min(axis=1, keepdims=True))
    return tile, np.clip(uv, 0.5 / size, 1.0 - 0.5 / size)
