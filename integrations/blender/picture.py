# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of a mesh to paint over, and the camera that took it, as nerf2mesh reads it.

Axes: Blender's world has the front of an imported mesh along -Y, nerf2mesh's along +X; both have +Z up. Cameras look
along their -Z in both.
"""

from __future__ import annotations

import json
from pathlib import Path

import bpy
from mathutils import Matrix

TO_WORLD = Matrix(((0, -1, 0, 0), (1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)))
"""Blender's world -> nerf2mesh's world."""
SAMPLES = 16


def camera_values(camera: bpy.types.Object, size_px: int) -> dict[str, object]:
    """The camera for a square picture. ValueError for a panorama or a shifted lens."""
    lens = camera.data
    if lens.type not in ("PERSP", "ORTHO") or lens.shift_x or lens.shift_y:
        raise ValueError("camera: expected a plain perspective or orthographic camera, got another; change its lens")
    is_flat = lens.type == "ORTHO"
    focal = size_px / lens.ortho_scale if is_flat else size_px * lens.lens / _sensor(lens)
    place, turn, _ = camera.matrix_world.decompose()
    pose = TO_WORLD @ Matrix.LocRotScale(place, turn, None)
    return {
        "camera_to_world": [list(row) for row in pose],
        "focal_px": [focal, focal],
        "principal_px": [size_px / 2, size_px / 2],
        "width_px": size_px,
        "height_px": size_px,
        "orthographic": is_flat,
    }


def render_to_paint(context: bpy.types.Context, mesh: bpy.types.Object, path: Path, size_px: int) -> Path:
    """Writes PATH (PNG, transparent around the mesh, the texture's own colors without light) and PATH's .json."""
    camera = context.scene.camera
    if camera is None:
        raise ValueError("camera: expected a camera in the scene, got none; add one (Shift A) and look through it")
    values = camera_values(camera, size_px)
    scene = bpy.data.scenes.new("nerf2mesh paint")
    copies, twin = [], mesh.copy()
    twin.data = mesh.data.copy()
    try:
        for slot in range(len(twin.data.materials)):
            copies.append(_unlit(twin.data.materials[slot]))
            twin.data.materials[slot] = copies[-1]
        scene.collection.objects.link(twin)
        scene.collection.objects.link(camera)
        scene.camera = camera
        _settle(scene, path, size_px)
        bpy.ops.render.render(write_still=True, scene=scene.name)
    finally:
        bpy.data.scenes.remove(scene)
        data = twin.data
        bpy.data.objects.remove(twin)
        bpy.data.meshes.remove(data)
        for material in copies:
            bpy.data.materials.remove(material)
    path.with_suffix(".json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return path


def _sensor(lens: bpy.types.Camera) -> float:
    """The sensor's side that a square picture fills."""
    return lens.sensor_height if lens.sensor_fit == "VERTICAL" else lens.sensor_width


def _unlit(material: bpy.types.Material | None) -> bpy.types.Material:
    """A copy that glows with the base color, so that the picture has the texture's own colors."""
    copy = material.copy() if material else bpy.data.materials.new("nerf2mesh unlit")
    copy.use_nodes = True
    nodes, links = copy.node_tree.nodes, copy.node_tree.links
    lit = next((node for node in nodes if node.type == "BSDF_PRINCIPLED"), None)
    output = next((node for node in nodes if node.type == "OUTPUT_MATERIAL"), None) or nodes.new(
        "ShaderNodeOutputMaterial"
    )
    glow = nodes.new("ShaderNodeEmission")
    if lit is not None:
        color = lit.inputs["Base Color"]
        glow.inputs["Color"].default_value = color.default_value
        if color.is_linked:
            links.new(color.links[0].from_socket, glow.inputs["Color"])
    links.new(glow.outputs["Emission"], output.inputs["Surface"])
    return copy


def _settle(scene: bpy.types.Scene, path: Path, size_px: int) -> None:
    """A square PNG by Cycles, which needs no display; colors as the texture has them."""
    render = scene.render
    render.engine = "CYCLES"
    scene.cycles.samples = SAMPLES
    scene.cycles.device = "CPU"
    scene.cycles.use_denoising = False
    render.resolution_x = render.resolution_y = size_px
    render.resolution_percentage = 100
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0
    render.film_transparent = True
    render.filepath = str(path)
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGBA"
    scene.view_settings.view_transform = "Standard"
