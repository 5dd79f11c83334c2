"""Writes named parts as one GLB: a node, a mesh and a material each, +Y up, metres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nerf2mesh.mesh.color_space import srgb_to_linear
from nerf2mesh.mesh.export.files import sealed_file, to_file_axes
from nerf2mesh.mesh.export.gltf import ELEMENT_ARRAY_BUFFER, GENERATOR, Document, add_record, plain
from nerf2mesh.mesh.solid.parts import Part, faceted
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
        primitive = {**_arrays(document, part), "material": materials[part.material]}
        tree["meshes"].append({"name": part.name, "primitives": [primitive]})
        tree["nodes"].append({"name": part.name, "mesh": k})
    if record is not None:
        add_record(tree, record)
    with sealed_file(Path(path), record) as stream:
        document.write(stream)
    return Path(path)


def _arrays(document: Document, part: Part) -> dict[str, Any]:
    mesh = to_file_axes(faceted(part.mesh))
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
