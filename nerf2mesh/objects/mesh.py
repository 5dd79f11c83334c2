"""One object as it is drawn: a mesh in the unit ball, its colors, and where it has none, its parts.

Packed files (`.npz`): `v` int16 [n, 3] positions / 32767, +Z up, front +X; `n` int8 [n, 3] normals / 127; `c` uint8
[n, 3] sRGB; `f` uint16 or uint32 [m, 3]. All other formats are read by `mesh.read_file`.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nerf2mesh.mesh.read_file import MeshArrays, checked
from nerf2mesh.mesh.scene_file import MAX_BYTES, first_line
from nerf2mesh.mesh.surface.simplify import simplify
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.utils.regular_file import read_regular

TEXTURE_PX = 256
"""Longer textures are averaged down to this side: at the size of training views more would alias."""
WELD = 2e4
"""Positions closer than 1 / WELD are one point where parts are told apart."""


@dataclass(frozen=True, eq=False)
class ObjectMesh:
    """Positions [V, 3] in the unit ball around the bounding box's center, faces [F, 3] and what is painted on them.

    normals [V, 3] or None (flat faces); colors [V, 3] sRGB or uv [F, 3, 2] with texture [h, w, 3] uint8; parts [V],
    numbers of connected parts, only where the object is uncolored.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None = None
    colors: np.ndarray | None = None
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None
    parts: np.ndarray | None = None

    @property
    def uncolored(self) -> bool:
        """Whether nothing is painted on the mesh, so that its parts are numbered instead."""
        return self.parts is not None

    @property
    def n_bytes(self) -> int:
        """The memory of all its arrays, in bytes."""
        return sum(array.nbytes for array in vars(self).values() if array is not None)

    def triangle_mesh(self) -> TriangleMesh:
        """For exporting and measuring."""
        return TriangleMesh(self.vertices, self.faces, self.normals, self.colors, self.uv, self.texture)


def read_object(
    path: Path, *, up: str = "y", front: str = "z", max_faces: int = 20_000, uncolored: bool | None = None
) -> ObjectMesh:
    """Reads a packed or ordinary mesh file; `up` and `front` are the axes of an ordinary one.

    uncolored: the file's colors mean nothing; None: decided by whether it has any but plain white. Raises ValueError
    (OSError for a missing file) where there is no surface to draw.
    """
    mesh = _read_packed(path) if path.suffix == ".npz" else TriangleMesh.from_file(path, up=up, front=front, weld=False)
    if not mesh.n_faces or not np.isfinite(mesh.vertices).all():
        raise ValueError(f"{path}: expected triangles with finite positions, got none or NaN; repair the file")
    if mesh.n_faces > max_faces:
        mesh = _simplified(mesh, max_faces)
    mesh = mesh.select_faces(np.arange(mesh.n_faces))
    vertices = mesh.vertices - mesh.center
    radius = np.linalg.norm(vertices, axis=1).max()
    if not radius > 0.0:
        raise ValueError(f"{path}: expected a surface, got a single point; repair the file")
    vertices = (vertices / radius).astype(np.float32)
    faces = mesh.faces.astype(np.int32)
    if uncolored if uncolored is not None else _is_plain(mesh):
        return ObjectMesh(vertices, faces, _single(mesh.vertex_normals), parts=connected_parts(vertices, faces))
    texture = None if mesh.texture is None else _shrunk(mesh.texture)
    colors = None if texture is not None else _single(mesh.vertex_colors)
    return ObjectMesh(
        vertices, faces, _single(mesh.vertex_normals), colors, mesh.uv if texture is not None else None, texture
    )


def connected_parts(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Which connected part every vertex belongs to [V]; vertices at one place count as one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    _, point = np.unique(np.round(vertices * WELD).astype(np.int64), axis=0, return_inverse=True)
    point = point.reshape(-1)
    a, b, c = point[faces].T
    n = int(point.max()) + 1
    links = coo_matrix((np.ones(2 * len(a), np.int8), (np.r_[a, b], np.r_[b, c])), shape=(n, n))
    return connected_components(links, directed=False)[1][point].astype(np.int32)


def _read_packed(path: Path) -> TriangleMesh:
    try:
        data = read_regular(path, limit_bytes=MAX_BYTES, follow=True)
        with zipfile.ZipFile(io.BytesIO(data)) as members:
            unpacked = sum(member.file_size for member in members.infolist())
        if unpacked > MAX_BYTES:
            raise ValueError(f"{unpacked} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as packed:
            v, n, c, f = (packed[key] for key in "vncf")
        part = MeshArrays(v / 32767.0, f.astype(np.int64), n / 127.0, (c / np.float32(255.0)).astype(np.float32))
        part = checked(part) if len(part.faces) else part
        return TriangleMesh(part.vertices, part.faces, part.vertex_normals, part.vertex_colors)
    except FileNotFoundError:
        raise
    except Exception as error:  # numpy and zipfile raise whatever the bytes lead them to
        raise ValueError(
            f"{path}: expected a packed mesh with v, n, c, f, got {first_line(error)}; pack it anew"
        ) from error


def _is_plain(mesh: TriangleMesh) -> bool:
    """No color anywhere, or white all over, as exporters write where there is no material."""
    if mesh.texture is not None and mesh.uv is not None:
        return False
    return mesh.vertex_colors is None or bool((mesh.vertex_colors > 0.999).all())


def _simplified(mesh: TriangleMesh, max_faces: int) -> TriangleMesh:
    """At most `max_faces` faces; colors are those of the nearest old corner, faces are flat."""
    from scipy.spatial import KDTree

    small, _ = simplify(TriangleMesh(mesh.vertices, mesh.faces).welded(), max_faces)
    corners, colors = _corner_colors(mesh)
    if colors is None:
        return small
    nearest = KDTree(corners).query(small.vertices)[1]
    return TriangleMesh(small.vertices, small.faces, vertex_colors=colors[nearest])


def _corner_colors(mesh: TriangleMesh) -> tuple[np.ndarray, np.ndarray | None]:
    """Points of the surface [n, 3] and their colors [n, 3], or None where there are none."""
    if mesh.texture is None or mesh.uv is None:
        return mesh.vertices, mesh.vertex_colors
    texture = _shrunk(mesh.texture)
    height, width = texture.shape[:2]
    uv = mesh.uv.reshape(-1, 2)
    column = np.floor((uv[:, 0] % 1.0) * width).astype(int).clip(0, width - 1)
    row = np.floor((1.0 - uv[:, 1] % 1.0) * height).astype(int).clip(0, height - 1)
    return mesh.corners.reshape(-1, 3), texture[row, column] / np.float32(255.0)


def _shrunk(texture: np.ndarray) -> np.ndarray:
    """RGB of at most TEXTURE_PX a side."""
    import cv2

    rgb = np.ascontiguousarray(texture[..., :3])
    scale = TEXTURE_PX / max(rgb.shape[:2])
    return rgb if scale >= 1.0 else cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _single(array: np.ndarray | None) -> np.ndarray | None:
    return None if array is None else array.astype(np.float32)
