"""The triangle mesh of every room: welded positions, per-corner texture coordinates.

Conventions
    Positions are in the world frame: right-handed, +Z up, front along +X. Files are +Y up, +Z front: `from_file` and
    `save_mesh` convert between the two.
    Faces wind counter-clockwise seen from outside, so a closed mesh has positive `volume`.
    UV are kept per face corner, so that a seam never splits a vertex and the topology stays closed. Their origin is the
    lower-left corner of the texture (as in OBJ; glTF's is the upper-left), values outside [0, 1] repeat the texture.
    Colors are sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from nerf2mesh.mesh.read_file import read_mesh_file
from nerf2mesh.mesh.vectors import unit


@dataclass(eq=False)
class TriangleMesh:
    """Vertices [V, 3] float64, faces [F, 3] int64 and what is painted on them.

    Treat the arrays as read-only: edges and normals are cached. Use `dataclasses.replace` for a changed mesh.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    vertex_normals: Float[np.ndarray, "v 3"] | None = None
    """Unit normals; None means that `normals` computes them from the faces."""
    vertex_colors: Float[np.ndarray, "v 3"] | None = None
    """sRGB in [0, 1]."""
    uv: Float[np.ndarray, "f 3 2"] | None = None
    """Per face corner."""
    texture: UInt8[np.ndarray, "h w c"] | None = None
    """sRGB, 3 or 4 channels, rows from the top."""
    metadata: dict[str, object] = field(default_factory=dict)
    """Anything that should travel with the mesh; written to a GLB's asset.extras."""
    normal_map: UInt8[np.ndarray, "h w 3"] | None = None
    """Tangent-space normals on the same uv, rows from the top: see `tangents`."""
    roughness: float = 1.0
    metallic: float = 0.0
    """Of the whole surface, as glTF has them; a texture says them anew."""
    orm: UInt8[np.ndarray, "h w 3"] | None = None
    """Occlusion, roughness and metallic on the same uv, linear, rows from the top: see `texture.occlusion`."""

    def __post_init__(self) -> None:
        self.vertices = _array("vertices", self.vertices, np.float64, (None, 3))
        self.faces = _array("faces", self.faces, np.int64, (None, 3))
        if self.n_faces and (self.faces.min() < 0 or self.faces.max() >= self.n_vertices):
            raise ValueError(
                f"faces: expected indices in [0, {self.n_vertices}), got [{self.faces.min()}, {self.faces.max()}]; "
                "number the vertices from 0"
            )
        if self.vertex_normals is not None:
            self.vertex_normals = _array("vertex_normals", self.vertex_normals, np.float64, (self.n_vertices, 3))
        if self.vertex_colors is not None:
            self.vertex_colors = _array("vertex_colors", self.vertex_colors, np.float32, (self.n_vertices, 3))
        if self.uv is not None:
            self.uv = _array("uv", self.uv, np.float32, (self.n_faces, 3, 2))
        if self.texture is not None:
            self.texture = np.ascontiguousarray(self.texture)
            if self.texture.ndim != 3 or self.texture.shape[2] not in (3, 4) or self.texture.dtype != np.uint8:
                got = f"{self.texture.dtype} {self.texture.shape}"
                raise ValueError(f"texture: expected uint8 [h, w, 3 or 4], got {got}; convert the image to RGB first")
        if self.normal_map is not None and (self.normal_map.ndim != 3 or self.normal_map.dtype != np.uint8):
            got = f"{self.normal_map.dtype} {self.normal_map.shape}"
            raise ValueError(f"normal_map: expected uint8 [h, w, 3], got {got}; convert the image to RGB first")
        if self.orm is not None and (self.orm.ndim != 3 or self.orm.shape[2] != 3 or self.orm.dtype != np.uint8):
            got = f"{self.orm.dtype} {self.orm.shape}"
            raise ValueError(f"orm: expected uint8 [h, w, 3], got {got}; convert the image to RGB first")

    @staticmethod
    def from_file(path: str | Path, *, up: str = "y", front: str = "z", weld: bool = True) -> TriangleMesh:
        """Reads OBJ (+ MTL and textures), GLB, glTF, PLY, STL or OFF into the world frame.

        up, front: the file's axes, "x", "y", "z", with "-" for the negative ones. up="z", front="x" leaves them alone.
        weld: merge equal positions (seams and STL split them), which closes the topology.
        Raises FileNotFoundError, or ValueError when the file holds no triangle or is no mesh.
        """
        path = Path(path)
        found = read_mesh_file(path, up=up, front=front)
        mesh = TriangleMesh(
            found.vertices,
            found.faces,
            found.vertex_normals,
            found.vertex_colors,
            found.uv,
            found.texture,
            {"source": path.name},
        )
        return mesh.welded() if weld else mesh

    @property
    def n_vertices(self) -> int:
        """Number of vertices, V."""
        return len(self.vertices)

    @property
    def n_faces(self) -> int:
        """Number of faces, F."""
        return len(self.faces)

    @property
    def corners(self) -> Float[np.ndarray, "f 3 3"]:
        """Corner positions of every face."""
        return self.vertices[self.faces]

    @cached_property
    def face_areas(self) -> Float[np.ndarray, " f"]:
        """Area of every face, square world units."""
        return 0.5 * np.linalg.norm(_face_cross(self.corners), axis=-1)

    @cached_property
    def face_normals(self) -> Float[np.ndarray, "f 3"]:
        """Unit normals; zero for a face without area."""
        return unit(_face_cross(self.corners))

    @cached_property
    def normals(self) -> Float[np.ndarray, "v 3"]:
        """`vertex_normals` where given, else the corner-angle weighted mean of the adjacent faces' normals."""
        if self.vertex_normals is not None:
            return self.vertex_normals
        corners, total = self.corners, np.zeros_like(self.vertices)
        for k in range(3):
            a = unit(corners[:, (k + 1) % 3] - corners[:, k])
            b = unit(corners[:, (k + 2) % 3] - corners[:, k])
            angle = np.arccos(np.clip((a * b).sum(-1), -1.0, 1.0))
            for axis in range(3):
                weights = angle * self.face_normals[:, axis]
                total[:, axis] += np.bincount(self.faces[:, k], weights, minlength=self.n_vertices)
        return unit(total)

    @property
    def area(self) -> float:
        """Area of the surface, square world units."""
        return float(self.face_areas.sum())

    @property
    def volume(self) -> float:
        """Signed volume: positive for a closed mesh whose faces wind outward."""
        a, b, c = (self.corners - self.center).transpose(1, 0, 2)
        return float((a * np.cross(b, c)).sum() / 6.0)

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Lowest and highest corner of the bounding box; zeros without vertices."""
        if not self.n_vertices:
            return np.zeros((2, 3))
        return np.stack([self.vertices.min(0), self.vertices.max(0)])

    @property
    def center(self) -> Float[np.ndarray, " 3"]:
        """Middle of the bounding box."""
        return self.bounds.mean(0)

    @cached_property
    def edges(self) -> tuple[Int[np.ndarray, "e 2"], Int[np.ndarray, " e"]]:
        """Undirected edges (lower index first, sorted) and the number of faces at each."""
        half = np.sort(self.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        keys, valence = np.unique(half[:, 0] * self.n_vertices + half[:, 1], return_counts=True)
        return np.stack([keys // max(self.n_vertices, 1), keys % max(self.n_vertices, 1)], axis=1), valence

    @property
    def is_watertight(self) -> bool:
        """Every edge has exactly two faces, which pass it in opposite directions."""
        if not self.n_faces or (self.edges[1] != 2).any():
            return False
        half = self.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
        directed = half[:, 0] * self.n_vertices + half[:, 1]
        return len(np.unique(directed)) == len(directed)

    def welded(self, tolerance: float = 1e-7) -> TriangleMesh:
        """Merges vertices closer than about `tolerance` times the bounding box's longest side; drops collapsed faces.

        Normals are dropped where split vertices disagreed; colors of merged vertices are averaged.
        """
        step = max(float(np.ptp(self.bounds, axis=0).max()) * tolerance, np.finfo(np.float64).tiny)
        cells = np.round((self.vertices - self.bounds[0]) / step).astype(np.int64)
        _, first, group = np.unique(cells, axis=0, return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first))  # keep the order in which vertices first appear
        group, first = rank[group.reshape(-1)], np.sort(first)
        faces = group[self.faces]
        keep = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
        return TriangleMesh(
            self.vertices[first],
            faces[keep],
            None if self.vertex_normals is None else unit(_group_mean(self.vertex_normals, group, len(first))),
            None if self.vertex_colors is None else _group_mean(self.vertex_colors, group, len(first)),
            None if self.uv is None else self.uv[keep],
            self.texture,
            dict(self.metadata),
            self.normal_map,
        )

    def select_faces(self, keep: np.ndarray) -> TriangleMesh:
        """The mesh of some faces (a mask or indices), without the vertices that nothing uses any more."""
        faces = self.faces[keep]
        used = np.unique(faces)
        renumber = np.zeros(self.n_vertices, dtype=np.int64)
        renumber[used] = np.arange(len(used))
        return replace(
            self,
            vertices=self.vertices[used],
            faces=renumber[faces],
            vertex_normals=None if self.vertex_normals is None else self.vertex_normals[used],
            vertex_colors=None if self.vertex_colors is None else self.vertex_colors[used],
            uv=None if self.uv is None else self.uv[keep],
        )

    def normalized(self, half_extent: float = 0.8) -> TriangleMesh:
        """The mesh centered at the origin and scaled so that the longest side spans [-half_extent, half_extent]."""
        size = float(np.ptp(self.bounds, axis=0).max())
        if size <= 0.0:
            raise ValueError("mesh: expected a bounding box of positive size, got a point; give a mesh with faces")
        return replace(self, vertices=(self.vertices - self.center) * (2.0 * half_extent / size))


def _face_cross(corners: np.ndarray) -> np.ndarray:
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _group_mean(values: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    count = np.bincount(group, minlength=n_groups)
    sums = [np.bincount(group, column, minlength=n_groups) for column in values.T]
    return (np.stack(sums, axis=1) / count[:, None]).astype(values.dtype)


def _array(name: str, value: object, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
    array = np.ascontiguousarray(value, dtype=dtype)
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape)):
        wanted = ["any" if n is None else n for n in shape]
        raise ValueError(f"{name}: expected shape {wanted}, got {list(array.shape)}; reshape the array")
    return array
