"""Writes binary glTF 2.0 (GLB): +Y up, +Z front, metres.

Base color textures are sRGB by the format's rule, COLOR_0 is linear; metallicFactor is written since its default is 1.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nerf2mesh.mesh.color_space import srgb_to_linear
from nerf2mesh.mesh.export.gltf_morph import add_morphs
from nerf2mesh.mesh.texture.tangents import corner_tangents
from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.mesh.vectors import unit
from nerf2mesh.rights import Record
from nerf2mesh.rights.containers import RECORD_NAME, SEAL_NAME
from nerf2mesh.rights.seal import BLANK

FLOAT, UINT16, UINT32 = 5126, 5123, 5125
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
LINEAR, LINEAR_MIPMAP_LINEAR, REPEAT = 9729, 9987, 10497
CLAMP_TO_EDGE = 33071
GENERATOR = "nerf2mesh"


@dataclass
class Document:
    """A glTF's JSON tree and its one binary buffer, grown together."""

    tree: dict = field(default_factory=lambda: {"accessors": [], "bufferViews": []})
    chunks: list[bytes] = field(default_factory=list)
    n_bytes: int = 0

    def add_bytes(self, data: bytes, target: int | None = None) -> int:
        """The index of a new buffer view; views start at multiples of four bytes, as accessors need."""
        view: dict[str, int] = {"buffer": 0, "byteOffset": self.n_bytes, "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        padded = data + b"\0" * (-len(data) % 4)
        self.chunks.append(padded)
        self.n_bytes += len(padded)
        self.tree["bufferViews"].append(view)
        return len(self.tree["bufferViews"]) - 1

    def add_array(self, array: np.ndarray, *, bounds: bool = False, target: int | None = ARRAY_BUFFER) -> int:
        """The index of a new accessor of an array [n], [n, 2] or [n, 3] of float32, uint16 or uint32."""
        component = {"f4": FLOAT, "u2": UINT16, "u4": UINT32}[array.dtype.str[1:]]
        accessor = {
            "bufferView": self.add_bytes(np.ascontiguousarray(array).tobytes(), target),
            "componentType": component,
            "count": len(array),
            "type": "SCALAR" if array.ndim == 1 else f"VEC{array.shape[1]}",
        }
        if bounds:
            rows = array.reshape(len(array), -1)
            accessor["min"], accessor["max"] = rows.min(0).tolist(), rows.max(0).tolist()
        self.tree["accessors"].append(accessor)
        return len(self.tree["accessors"]) - 1

    def write(self, stream: BinaryIO) -> None:
        """The GLB container: header, JSON chunk, binary chunk, each padded to four bytes."""
        self.tree["buffers"] = [{"byteLength": self.n_bytes}]
        text = json.dumps(self.tree, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        stream.write(struct.pack("<4sII", b"glTF", 2, 28 + len(text) + self.n_bytes))
        stream.write(struct.pack("<I4s", len(text), b"JSON") + text)
        stream.write(struct.pack("<I4s", self.n_bytes, b"BIN\0"))
        for chunk in self.chunks:
            stream.write(chunk)


def write_glb(
    mesh: TriangleMesh,
    stream: BinaryIO,
    *,
    track: VertexTrack | None = None,
    record: Record | None = None,
    extend: Callable[[Document, np.ndarray], None] | None = None,
) -> None:
    """Writes a mesh whose axes are already glTF's. `mesh.metadata` goes to asset.extras; the record is not sealed yet.

    track: how the vertices move, in the same axes; see `gltf_morph`.
    extend: adds to the document before it is written, such as a skin; it is given the document and, for each vertex of
    the file, the mesh's.
    """
    source, uv = split_seams(mesh)
    document = Document()
    vertices = mesh.vertices.astype(np.float32)
    primitive = {"attributes": _attributes(document, mesh, vertices, source, uv), "material": 0}
    index = source.faces.reshape(-1)
    small = len(source.vertex) < 65535
    primitive["indices"] = document.add_array(index.astype("<u2" if small else "<u4"), target=ELEMENT_ARRAY_BUFFER)
    node = {"name": "mesh", "mesh": 0}
    tree = document.tree
    asset: dict[str, object] = {"version": "2.0", "generator": GENERATOR}
    if mesh.metadata:
        asset["extras"] = plain(mesh.metadata)
    tree["asset"] = asset
    tree |= {"scene": 0, "scenes": [{"nodes": [0]}], "nodes": [node]}
    tree["meshes"] = [{"name": "mesh", "primitives": [primitive]}]
    tree["materials"] = [_material(document, mesh)]
    if track is not None:
        add_morphs(document, mesh, source.vertex, track)
    if extend is not None:
        extend(document, source.vertex)
    if record is not None:
        add_record(tree, record)
    document.write(stream)


def add_record(tree: dict, record: Record) -> None:
    """Puts the record into a glTF's tree: an XMP packet of the asset, and a copy in the extras of the first scene,
    which Blender keeps."""
    name = "KHR_xmp_json_ld"
    tree.setdefault("extensionsUsed", []).append(name)
    tree.setdefault("extensions", {})[name] = {"packets": [record.xmp_packet()]}
    tree["asset"].setdefault("extensions", {})[name] = {"packet": 0}
    tree["scenes"][0].setdefault("extras", {}).update({RECORD_NAME: record.text(), SEAL_NAME: BLANK})


@dataclass(frozen=True)
class SplitVertices:
    """Vertices split where faces disagree on the UV: `vertex` [N] indexes the mesh's, `faces` [F, 3] the split ones,
    `corner` [N] one of the mesh's face corners (3 face + k) at each."""

    vertex: np.ndarray
    faces: np.ndarray
    corner: np.ndarray


def split_seams(mesh: TriangleMesh) -> tuple[SplitVertices, np.ndarray | None]:
    """One vertex per (position, uv) pair, and the uv [N, 2] or None; faces whose corners coincide are left out."""
    faces = mesh.faces
    proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    corner = faces[proper].reshape(-1)
    if mesh.uv is None:
        used, first, index = np.unique(corner, return_index=True, return_inverse=True)
        return SplitVertices(used, index.reshape(-1, 3), _all_corners(proper)[first]), None
    uv = mesh.uv[proper].reshape(-1, 2)
    key = np.concatenate([corner[:, None], uv.view(np.int32)], axis=1)
    _, first, index = np.unique(key, axis=0, return_index=True, return_inverse=True)
    return SplitVertices(corner[first], index.reshape(-1, 3), _all_corners(proper)[first]), uv[first]


def _all_corners(faces: np.ndarray) -> np.ndarray:
    """Numbers of the corners of chosen faces."""
    return (3 * np.flatnonzero(faces)[:, None] + np.arange(3)).reshape(-1)


def _attributes(
    document: Document, mesh: TriangleMesh, vertices: np.ndarray, source: SplitVertices, uv
) -> dict[str, int]:
    normals = mesh.normals[source.vertex].astype(np.float32)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 0.5, normals / np.maximum(length, 1e-30), np.array([0, 1, 0], np.float32)).astype(
        np.float32
    )
    attributes = {
        "POSITION": document.add_array(vertices[source.vertex], bounds=True),
        "NORMAL": document.add_array(normals),
    }
    if uv is not None:
        flipped = np.stack([uv[:, 0], 1.0 - uv[:, 1]], axis=1).astype(np.float32)
        attributes["TEXCOORD_0"] = document.add_array(flipped)
        if mesh.normal_map is not None:
            attributes["TANGENT"] = document.add_array(_tangents(mesh, source))
    elif mesh.vertex_colors is not None:
        colors = srgb_to_linear(mesh.vertex_colors[source.vertex]).astype(np.float32)
        attributes["COLOR_0"] = document.add_array(colors)
    return attributes


def _tangents(mesh: TriangleMesh, source: SplitVertices) -> np.ndarray:
    """[N, 4] float32 of length one to the last digit, as the validator wants them."""
    tangents = corner_tangents(mesh).reshape(-1, 4)[source.corner]
    return np.concatenate([unit(tangents[:, :3]), tangents[:, 3:]], axis=1).astype(np.float32)


def _material(document: Document, mesh: TriangleMesh) -> dict:
    surface: dict[str, object] = {
        "baseColorFactor": [1.0, 1.0, 1.0, 1.0],
        "metallicFactor": mesh.metallic,
        "roughnessFactor": mesh.roughness,
    }
    material: dict[str, object] = {
        "name": "material",
        "pbrMetallicRoughness": surface,
        "doubleSided": not mesh.is_watertight,
    }
    if mesh.texture is not None and mesh.uv is not None:
        surface["baseColorTexture"] = {"index": add_texture(document, "base_color", mesh.texture)}
        if mesh.texture.shape[2] == 4 and mesh.texture[..., 3].min() < 255:
            material["alphaMode"] = "MASK"
    if mesh.normal_map is not None and mesh.uv is not None:
        material["normalTexture"] = {"index": add_texture(document, "normal", mesh.normal_map)}
    if mesh.orm is not None and mesh.uv is not None:
        packed = {"index": add_texture(document, "occlusion_roughness_metallic", mesh.orm)}
        surface |= {"metallicFactor": 1.0, "roughnessFactor": 1.0, "metallicRoughnessTexture": packed}
        material["occlusionTexture"] = dict(packed)
    return material


def add_texture(document: Document, name: str, image: np.ndarray, wrap: int = REPEAT) -> int:
    """The index of a new texture; `wrap` is what all textures of the document show beyond their edges."""
    tree, view = document.tree, document.add_bytes(png_bytes(image))
    tree["samplers"] = [{"magFilter": LINEAR, "minFilter": LINEAR_MIPMAP_LINEAR, "wrapS": wrap, "wrapT": wrap}]
    tree.setdefault("images", []).append({"name": name, "bufferView": view, "mimeType": "image/png"})
    tree.setdefault("textures", []).append({"sampler": 0, "source": len(tree["images"]) - 1})
    return len(tree["textures"]) - 1


def png_bytes(image: np.ndarray) -> bytes:
    """A uint8 image [h, w, 3 or 4] as a PNG file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG", compress_level=6)
    return stream.getvalue()


def plain(value: object) -> object:
    """Metadata as JSON values: arrays become lists, unknown objects and non-finite numbers their text."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return value.as_posix() if isinstance(value, Path) else str(value)
