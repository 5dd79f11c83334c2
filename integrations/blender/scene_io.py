# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes into the scene and out of it, and regions as vertex groups."""

from __future__ import annotations

from pathlib import Path

import bpy
from mathutils import Matrix, Vector

from .command import REGION

COLLECTION = "nerf2mesh"
GROUP = "nerf2mesh region"
SLACK = 1e-3
"""A vertex is seen where a ray from the eye reaches it but for this share of its length."""


def active_mesh(context: bpy.types.Context) -> bpy.types.Object | None:
    """The active object where it is a mesh."""
    active = context.active_object
    return active if active is not None and active.type == "MESH" else None


def to_object_mode(mesh: bpy.types.Object) -> None:
    """Leaves the modes of editing and painting: only then the active mesh's data hold what was edited."""
    if mesh.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")


def collection_of(context: bpy.types.Context) -> bpy.types.Collection:
    """The collection of all results; made and linked to the scene where it is missing."""
    found = bpy.data.collections.get(COLLECTION) or bpy.data.collections.new(COLLECTION)
    if context.scene.collection.children.get(COLLECTION) is None:
        context.scene.collection.children.link(found)
    return found


def import_mesh(context: bpy.types.Context, path: Path, name: str) -> bpy.types.Object:
    """Reads a GLB with its materials into the collection; returns the mesh, selected and active.

    RuntimeError where the file holds no mesh.
    """
    before = set(bpy.data.objects)
    bpy.ops.import_scene.gltf(filepath=str(path))
    new = [item for item in bpy.data.objects if item not in before]
    meshes = [item for item in new if item.type == "MESH"]
    if not meshes:
        raise RuntimeError(f"{path.name}: expected a mesh, got none")
    home = collection_of(context)
    for item in new:
        for other in list(item.users_collection):
            other.objects.unlink(item)
        home.objects.link(item)
        item.select_set(False)
    mesh = max(meshes, key=lambda item: len(item.data.vertices))
    mesh.name = mesh.data.name = name
    mesh["nerf2mesh_run"] = str(path.parent)
    mesh.select_set(True)
    context.view_layer.objects.active = mesh
    return mesh


def export_mesh(context: bpy.types.Context, mesh: bpy.types.Object, path: Path, weights: list[float] | None) -> None:
    """Writes the mesh as GLB, with a weight for every vertex as the attribute _N2M_REGION where some are given.

    The weights are in the file for every vertex, seams included; the object itself stays as it is.
    """
    for item in context.selected_objects:
        item.select_set(False)
    mesh.select_set(True)
    context.view_layer.objects.active = mesh
    attribute = None
    if weights is not None:
        attribute = mesh.data.attributes.new(f"_{REGION}", "FLOAT", "POINT")
        attribute.data.foreach_set("value", weights)
    try:
        bpy.ops.export_scene.gltf(
            filepath=str(path),
            export_format="GLB",
            use_selection=True,
            export_attributes=True,
            export_yup=True,
            export_animations=False,
            export_skins=False,
            export_morph=False,
        )
    finally:
        if attribute is not None:
            mesh.data.attributes.remove(mesh.data.attributes[f"_{REGION}"])


def group_weights(mesh: bpy.types.Object, name: str) -> list[float] | None:
    """The weight of every vertex in the group; None without such a group, or where nothing is in it."""
    group = mesh.vertex_groups.get(name) if name else None
    if group is None:
        return None
    found = [
        next((member.weight for member in vertex.groups if member.group == group.index), 0.0)
        for vertex in mesh.data.vertices
    ]
    return found if any(weight > 0.5 for weight in found) else None


def region_from_view(mesh: bpy.types.Object, to_clip: Matrix, eye: Vector, share: float) -> tuple[str, int]:
    """Puts the vertices that the eye sees in its picture's middle into the vertex group; its name and their number.

    to_clip: 4 x 4, from the world to clip coordinates; share: of the picture's sides, 1 is all of it.
    """
    to_object_mode(mesh)
    if old := mesh.vertex_groups.get(GROUP):
        mesh.vertex_groups.remove(old)
    group = mesh.vertex_groups.new(name=GROUP)
    inside = mesh.matrix_world.inverted()
    start = inside @ eye
    seen = []
    for vertex in mesh.data.vertices:
        clip = to_clip @ (mesh.matrix_world @ vertex.co).to_4d()
        if clip.w <= 0.0 or max(abs(clip.x), abs(clip.y)) > share * clip.w:
            continue
        way = vertex.co - start
        hit, place, _, _ = mesh.ray_cast(start, way.normalized(), distance=way.length * (1.0 - SLACK))
        if not hit or (place - vertex.co).length < SLACK * way.length:
            seen.append(vertex.index)
    group.add(seen, 1.0, "REPLACE")
    mesh.vertex_groups.active = group
    return group.name, len(seen)
