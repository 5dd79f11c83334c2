"""Writes named parts as one GLB: a node, a mesh and a material each (more with pictures), +Y up, metres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nerf2mesh.mesh.color_space import srgb_to_linear
from nerf2mesh.mesh.export.files import sealed_file, to_file_axes
from nerf2mesh.mesh.export.gltf import (
    CLAMP_TO_EDGE,
    ELEMENT_ARRAY_BUFFER,
    GENERATOR,
    Document,
    add_record,
    add_texture,
    plain,
)
from nerf2mesh.mesh.solid.parts import Part, Picture, faceted
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.mesh.vectors import unit
from nerf2mesh.rights import Record


def save_scene(
    parts: Sequence[Part],
    path: str | Path,
    extras: Mapping[str, object] | None = None,
    record: Record | None = None,
) -> Path:
    """Writes the parts to a .glb file, sealed with the record, and returns its path; `extras` go to asset.extras.

    Raises ValueError where there are no parts, or the file cannot be written.
    """
    if not parts:
        raise ValueError("parts: expected at least one, got none; check the input")
    document = Document()
    tree, materials = document.tree, {}
    tree["asset"] = {"version": "2.0", "generator": GENERATOR} | ({"extras": plain(dict(extras))} if extras else {})
    tree |= {"scene": 0, "scenes": [{"nodes": list(range(len(parts)))}], "nodes": [], "meshes": [], "materials": []}
    for k, part in enumerate(parts):
        if part.material not in materials:
            materials[part.material] = len(materials)
            tree["materials"].append(_material(part))
        shapes = [{**arrays, "material": materials[part.material]} for arrays in _plain_arrays(document, part)]
        for picture in part.pictures:
            shapes.append({**_pictured_arrays(document, part, picture), "material": len(tree["materials"])})
            materials[f"{part.name}_{picture.name}"] = len(tree["materials"])
            tree["materials"].append(_pictured(document, picture))
        tree["meshes"].append({"name": part.name, "primitives": shapes})
        tree["nodes"].append({"name": part.name, "mesh": k})
    if record is not None:
        add_record(tree, record)
    with sealed_file(Path(path), record) as stream:
        document.write(stream)
    return Path(path)


def _plain_arrays(document: Document, part: Part) -> list[dict[str, Any]]:
    """Of the faces without a picture; none where all have one."""
    plain_faces = np.ones(part.mesh.n_faces, bool)
    for picture in part.pictures:
        plain_faces[picture.faces] = False
    if not plain_faces.any():
        return []
    if not part.pictures:
        return [_arrays(document, part.mesh)]
    return [_arrays(document, TriangleMesh(part.mesh.vertices, part.mesh.faces[plain_faces]))]


def _pictured_arrays(document: Document, part: Part, picture: Picture) -> dict[str, Any]:
    """Of a picture's faces, three vertices each."""
    corners = part.mesh.vertices[part.mesh.faces[picture.faces]].reshape(-1, 3)
    normals = np.repeat(part.mesh.face_normals[picture.faces], 3, axis=0)
    mesh = to_file_axes(TriangleMesh(corners, np.arange(len(corners)).reshape(-1, 3), unit(normals)))
    uv = picture.uv.reshape(-1, 2)
    attributes = {
        "POSITION": document.add_array(mesh.vertices.astype(np.float32), bounds=True),
        "NORMAL": document.add_array(mesh.normals.astype(np.float32)),
        "TEXCOORD_0": document.add_array(np.stack([uv[:, 0], 1.0 - uv[:, 1]], axis=1).astype(np.float32)),
    }
    index = np.arange(len(corners)).astype("<u4")
    return {"attributes": attributes, "indices": document.add_array(index, target=ELEMENT_ARRAY_BUFFER)}


def _pictured(document: Document, picture: Picture) -> dict[str, Any]:
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    surface["baseColorTexture"] = {"index": add_texture(document, picture.name, picture.image, CLAMP_TO_EDGE)}
    return {"name": picture.name, "pbrMetallicRoughness": surface}


def _arrays(document: Document, surface: TriangleMesh) -> dict[str, Any]:
    mesh = to_file_axes(faceted(surface))
    index = mesh.faces.reshape(-1)
    kind = "<u2" if mesh.n_vertices < 65535 else "<u4"
    attributes = {
        "POSITION": document.add_array(mesh.vertices.astype(np.float32), bounds=True),
        "NORMAL": document.add_array(mesh.normals.astype(np.float32)),
    }
    return {"attributes": attributes, "indices": document.add_array(index.astype(kind), target=ELEMENT_ARRAY_BUFFER)}


def _material(part: Part) -> dict[str, Any]:
    linear = [float(c) for c in srgb_to_linear(np.asarray(part.color))]
    surface = {"baseColorFactor": [*linear, 1.0], "metallicFactor": 0.0, "roughnessFactor": 1.0}
    return {"name": part.material, "pbrMetallicRoughness": surface}
