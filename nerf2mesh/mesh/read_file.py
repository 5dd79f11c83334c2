"""Reads mesh files with trimesh into the world frame; several textured parts are joined into one texture atlas.

The result is plain arrays: `TriangleMesh.from_file` makes a mesh of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from nerf2mesh.mesh.color_space import linear_to_srgb
from nerf2mesh.mesh.scene_file import first_line, load_scene, shapes_in
from nerf2mesh.mesh.scene_material import colors_of, material_of, multiplied
from nerf2mesh.mesh.vectors import unit

FORMATS = (".obj", ".glb", ".gltf", ".ply", ".stl", ".off")
DEFAULT_GREY = 0.8
LARGEST = 1e15
"""A coordinate beyond this is taken for damage: products of three would leave what float32 can hold."""


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
    if not path.exists():
        raise FileNotFoundError(f"path: expected a mesh file, got {path}, which does not exist; give an existing file")
    if not path.is_file():
        raise ValueError(f"path: expected a mesh file, got {path}, which is no regular file; give a file")
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"path: expected a file of {', '.join(FORMATS)}, got {path.name!r}; convert it first")
    turn = axis_turn(up, front)
    try:
        with np.errstate(all="ignore"):  # numbers are judged once they are in place
            mesh = _read(path)
    except OSError as error:
        raise ValueError(f"path: expected a readable file, got {path} ({error.strerror or error}); copy it") from error
    except Exception as error:  # readers raise whatever the bytes lead them to
        raise ValueError(
            f"path: expected a valid {path.suffix} file, got {path} ({first_line(error)}); export the mesh again"
        ) from error
    if mesh is None:
        raise ValueError(f"path: expected triangles, got none in {path}; give a mesh, not a point cloud")
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


def _read(path: Path) -> MeshArrays | None:
    """All parts as one, each checked; None where there is no triangle."""
    parts = [checked(part) for part in _read_parts(path) if len(part.faces)]
    return _join(parts) if parts else None


def checked(part: MeshArrays) -> MeshArrays:
    """The part with harmless normals and uv.

    Raises:
        ValueError: shapes disagree, a face names no vertex, or a vertex is no place.
    """
    n, n_faces, uv = len(part.vertices), len(part.faces), part.uv
    shapes = {"vertices": (n, 3), "faces": (n_faces, 3), "uv": (n_faces, 3, 2)}
    for name, array in vars(part).items():
        shape = shapes.get(name, (n, 3))
        if array is not None and name != "texture" and array.shape != shape:
            raise ValueError(f"{name} of the shape {array.shape} where {shape} belongs")
    low, high = int(part.faces.min()), int(part.faces.max())
    if low < 0 or high >= n:
        raise ValueError(f"a face that names vertex {low if low < 0 else high} of {n}")
    places = np.all(np.abs(part.vertices) < LARGEST, axis=1)
    if not places[part.faces].all():
        raise ValueError(f"positions that are not finite or beyond {LARGEST:g}")
    normals, colors = part.vertex_normals, part.vertex_colors
    return replace(
        part,
        vertices=np.where(places[:, None], part.vertices, 0.0),
        vertex_normals=None if normals is None or not (np.abs(normals) < LARGEST).all() else normals,
        uv=None if uv is None else np.where(np.abs(uv) < LARGEST, uv, 0.0).astype(np.float32),
        vertex_colors=None if colors is None else np.clip(np.nan_to_num(colors, nan=0.0), 0.0, 1.0),
    )


def _read_parts(path: Path) -> list[MeshArrays]:
    import trimesh

    scene = load_scene(path)
    is_gltf = path.suffix.lower() in (".glb", ".gltf")
    if not isinstance(scene, trimesh.Scene):
        return [_part(shape, is_gltf) for shape, _ in shapes_in(scene)]
    return [_placed(_part(shape, is_gltf), transform) for shape, transform in shapes_in(scene)]


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
        texture, factor = material_of(mesh.visual.material)
        if texture is not None and mesh.visual.uv is not None:
            uv = np.asarray(mesh.visual.uv)[mesh.faces]
            texture = multiplied(texture, factor, is_gltf)
        else:
            texture, colors = None, colors_of(mesh) * factor
            colors = linear_to_srgb(colors) if is_gltf else colors
    return MeshArrays(
        np.asarray(mesh.vertices, np.float64),
        np.asarray(mesh.faces, np.int64),
        None if normals is None else np.asarray(normals, np.float64),
        None if colors is None else colors.astype(np.float32),
        None if uv is None else uv.astype(np.float32),
        texture,
    )


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
