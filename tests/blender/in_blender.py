"""Runs inside Blender, headless: installs the extension's zip, makes a mesh, refines it, takes the extension away.

    PYTHON_WITH_BPY in_blender.py -- JOB.json
    blender --background --factory-startup --python in_blender.py -- JOB.json

The job: {"zip", "home", "environment", "picture", "runs", "more", "refine_more", "result"}. What was seen is written to
`result` as JSON and printed line by line.
"""

import importlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

JOB = json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8"))
os.environ["BLENDER_USER_RESOURCES"] = JOB["home"]

import bpy  # noqa: E402
from mathutils import Vector  # noqa: E402

addon_utils = importlib.import_module("addon_utils")  # found only once bpy is there

NAME = "bl_ext.user_default.nerf2mesh"
seen: dict = {"blender": bpy.app.version_string}


def note(name: str, value: object) -> None:
    seen[name] = value
    print(f"[blender] {name}: {value}", flush=True)


def main() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    install()
    generate()
    cancel()
    mark()
    paint()
    refine()
    uninstall()
    Path(JOB["result"]).write_text(json.dumps(seen), encoding="utf-8")


def install() -> None:
    addon_utils.enable("bl_pkg", default_set=True)
    done = bpy.ops.extensions.package_install_files(filepath=JOB["zip"], repo="user_default", enable_on_install=True)
    note("install", sorted(done))
    note("enabled", NAME in bpy.context.preferences.addons)
    note("operators", [name for name in dir(bpy.ops.nerf2mesh) if hasattr(getattr(bpy.ops.nerf2mesh, name), "poll")])
    held = bpy.context.preferences.addons[NAME].preferences
    held.environment, held.runs = JOB["environment"], JOB["runs"]


def generate() -> None:
    held = bpy.context.scene.nerf2mesh
    held.image, held.preset, held.more = JOB["picture"], "tiny", JOB["more"]
    note("run", sorted(bpy.ops.nerf2mesh.generate("EXEC_DEFAULT")))
    mesh = bpy.context.active_object
    note("mesh", about(mesh))
    note("collection", [item.name for item in mesh.users_collection])
    note("run folder", sorted(path.name for path in Path(mesh["nerf2mesh_run"]).iterdir()))


def cancel() -> None:
    """A run is started as its button starts it, looked at as its timer does, and stopped."""
    session = sys.modules[f"{NAME}.session"]
    session.start_new(bpy.context)
    looks, statuses, end = [], [], time.monotonic() + 120
    while time.monotonic() < end:
        started = time.perf_counter()
        statuses.append(session.tick(bpy.context))
        looks.append(time.perf_counter() - started)
        if statuses[-1] != "running":
            break
        if len(looks) == 10:
            note("progress", session.said)
            bpy.ops.nerf2mesh.cancel()
        time.sleep(0.1)
    note("cancelled", statuses[-1])
    note("longest look, ms", round(1000 * max(looks), 2))


def mark() -> None:
    """A camera in front of the mesh (-Y) and the region that it sees."""
    mesh = bpy.context.active_object
    camera = bpy.data.objects.new("eye", bpy.data.cameras.new("eye"))
    bpy.context.scene.collection.objects.link(camera)
    camera.location = (0.0, -4.0, 0.0)
    camera.rotation_euler = (1.5707963, 0.0, 0.0)
    bpy.context.scene.camera = camera
    bpy.context.view_layer.update()
    bpy.context.scene.nerf2mesh.share = 100
    bpy.ops.nerf2mesh.region_from_view()
    group = mesh.vertex_groups[bpy.context.scene.nerf2mesh.group]
    inside = [v for v in mesh.data.vertices if any(g.group == group.index for g in v.groups)]
    facing = [(mesh.matrix_world.to_3x3() @ v.normal).y for v in inside]
    note("region", {"vertices": len(inside), "of": len(mesh.data.vertices), "facing": sum(facing) / len(facing)})


def paint() -> None:
    """The rendering and its camera; then a red disc is painted in its middle."""
    held = bpy.context.scene.nerf2mesh
    held.size_px = 64
    bpy.ops.nerf2mesh.render()
    shutil.copy(held.paint, Path(JOB["result"]).with_name("rendered.png"))
    image = bpy.data.images.load(held.paint)
    pixels = list(image.pixels)
    opaque = [k for k in range(64 * 64) if pixels[4 * k + 3] > 0.5]
    note("rendered", {"size": list(image.size), "opaque": len(opaque) / 64**2})
    note("camera", json.loads(Path(held.paint).with_suffix(".json").read_text(encoding="utf-8")))
    note("mesh in picture", on_picture(bpy.context.active_object, opaque))
    for k in opaque:
        if (k % 64 - 32) ** 2 + (k // 64 - 32) ** 2 < 64:
            pixels[4 * k : 4 * k + 4] = (1.0, 0.0, 0.0, 1.0)
    image.pixels = pixels
    image.save()


def on_picture(mesh, opaque: list[int]) -> dict:
    """Bounds in pixels of the mesh's vertices by the written camera, and of the rendering's opaque pixels."""
    held = bpy.context.scene.nerf2mesh
    camera = json.loads(Path(held.paint).with_suffix(".json").read_text(encoding="utf-8"))
    pose, focal = camera["camera_to_world"], camera["focal_px"][0]
    columns, rows = [], []
    for vertex in mesh.data.vertices:
        x, y, z = mesh.matrix_world @ vertex.co
        away = Vector((-y - pose[0][3], x - pose[1][3], z - pose[2][3]))  # to nerf2mesh's axes
        right, up, back = (sum(pose[i][k] * away[i] for i in range(3)) for k in range(3))
        columns.append(32 + focal * right / -back)
        rows.append(32 + focal * up / -back)
    drawn = ([k % 64 for k in opaque], [k // 64 for k in opaque])
    bounds = [[min(axis), max(axis)] for axis in (columns, rows)]
    return {"camera": bounds, "drawn": [[min(axis), max(axis) + 1] for axis in drawn]}


def refine() -> None:
    held, before = bpy.context.scene.nerf2mesh, bpy.context.active_object
    held.more, held.change, held.keep_topology = JOB["refine_more"], "color", True
    bpy.ops.object.mode_set(mode="EDIT")  # where vertices are assigned to a group
    try:
        note("refine", sorted(bpy.ops.nerf2mesh.refine("EXEC_DEFAULT")))
    except RuntimeError as error:  # an operator that reports an error raises it in scripts
        note("refine", f"error: {error}")
        return
    after = bpy.context.active_object
    note("refined", about(after))
    moved = [(a.co - b.co).length for a, b in zip(before.data.vertices, after.data.vertices)]
    same = len(before.data.vertices) == len(after.data.vertices)
    note("refined against before", {"same count": same, "most moved": max(moved)})
    note("attributes of the source", list(before.data.attributes.keys()))


def uninstall() -> None:
    done = bpy.ops.extensions.package_uninstall(repo_index=repo_index(), pkg_id="nerf2mesh")
    note("uninstall", sorted(done))
    note("left", {"enabled": NAME in bpy.context.preferences.addons, "property": hasattr(bpy.types.Scene, "nerf2mesh"),
                  "files": Path(JOB["home"], "extensions", "user_default", "nerf2mesh").exists()})  # fmt: skip


def repo_index() -> int:
    return [repo.module for repo in bpy.context.preferences.extensions.repos].index("user_default")


def about(mesh) -> dict:
    """Name, size, axes (the lowest and highest corner in Blender's world) and material of a mesh."""
    corners = [mesh.matrix_world @ Vector(corner) for corner in mesh.bound_box]
    material = mesh.data.materials[0] if mesh.data.materials else None
    lit = [node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED"] if material else []
    image = (
        next((node.image for node in material.node_tree.nodes if node.type == "TEX_IMAGE"), None) if material else None
    )
    return {
        "name": mesh.name,
        "vertices": len(mesh.data.vertices),
        "triangles": len(mesh.data.polygons),
        "bounds": [[round(pick(c[k] for c in corners), 4) for k in range(3)] for pick in (min, max)],
        "material": material.name if material else None,
        "texture": [*image.size, image.colorspace_settings.name] if image else None,
        "metallic": lit[0].inputs["Metallic"].default_value if lit else None,
        "uv": [layer.name for layer in mesh.data.uv_layers],
    }


main()
