"""Runs inside Blender: imports one file, tells what came in, and draws it. Arguments: JOB.json, with path, size_px,
pose [4, 4] (camera to world in Blender's axes), focal_px, picture, result. Writes `picture` and `result`.

The light is white from everywhere and casts no shadows, so that a rough, non-metallic surface shows its base color.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bpy
from mathutils import Matrix, Vector

SAMPLES = 16


def main(job: dict) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    read(job["path"])
    meshes = [o for o in bpy.context.scene.objects if o.type == "MESH"]
    result = {"bounds": bounds(meshes), "materials": materials(meshes), "version": bpy.app.version_string}
    result["color_attributes"] = [a.name for o in meshes for a in o.data.color_attributes]
    result["uv_layers"] = [layer.name for o in meshes for layer in o.data.uv_layers]
    result["faces"] = sum(len(o.data.polygons) for o in meshes)
    draw(meshes, job)
    Path(job["result"]).write_text(json.dumps(result), encoding="utf-8")


def read(path: str) -> None:
    """PLY and STL say nothing of their axes; the importer is told that +Y is up and +Z the front."""
    axes = {"forward_axis": "NEGATIVE_Z", "up_axis": "Y"}
    match Path(path).suffix:
        case ".glb":
            bpy.ops.import_scene.gltf(filepath=path)
        case ".obj":
            bpy.ops.wm.obj_import(filepath=path)
        case ".ply":
            bpy.ops.wm.ply_import(filepath=path, **axes)
        case ".stl":
            bpy.ops.wm.stl_import(filepath=path, **axes)
        case ".usdz":
            bpy.ops.wm.usd_import(filepath=path)
        case ".fbx":
            bpy.ops.import_scene.fbx(filepath=path)


def bounds(meshes: list) -> list[list[float]]:
    points = [o.matrix_world @ Vector(corner) for o in meshes for corner in o.bound_box]
    return [[f(p[k] for p in points) for k in range(3)] for f in (min, max)]


def materials(meshes: list) -> list[dict]:
    found = []
    for material in {slot.material for o in meshes for slot in o.material_slots if slot.material}:
        for node in material.node_tree.nodes if material.node_tree else []:
            if node.type != "BSDF_PRINCIPLED":
                continue
            links = node.inputs["Base Color"].links
            image = image_behind(links[0].from_node) if links else None
            entry = {"metallic": node.inputs["Metallic"].default_value, "alpha": node.inputs["Alpha"].default_value}
            entry["image"] = None if image is None else list(image.size)
            entry["colorspace"] = None if image is None else image.colorspace_settings.name
            entry["roughness"] = node.inputs["Roughness"].default_value
            found.append(entry)
            node.inputs["Specular IOR Level"].default_value = 0.0  # the picture shall show the base color alone
            node.inputs["Roughness"].default_value = 1.0
    return found


def image_behind(node) -> object | None:
    """The image of a texture node, also through a node that mixes or multiplies."""
    if node.type == "TEX_IMAGE":
        return node.image
    for socket in node.inputs:
        for link in socket.links:
            image = image_behind(link.from_node)
            if image is not None:
                return image
    return None


def draw(meshes: list, job: dict) -> None:
    scene = bpy.context.scene
    for mesh in meshes:
        mesh.visible_shadow = mesh.visible_diffuse = False
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    camera.matrix_world = Matrix(job["pose"])
    camera.data.sensor_width = 36.0
    camera.data.lens = job["focal_px"] * 36.0 / job["size_px"]
    camera.data.clip_start = 0.01
    scene.camera = camera
    world = scene.world = bpy.data.worlds.new("world")
    world.use_nodes = True
    background = next(node for node in world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.max_bounces = "CPU", SAMPLES, 0
    scene.cycles.use_denoising = False
    scene.render.film_transparent = True
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x = scene.render.resolution_y = job["size_px"]
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.filepath = job["picture"]
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    bpy.ops.render.render(write_still=True)


main(json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8")))
