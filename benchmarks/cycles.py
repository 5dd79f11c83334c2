"""Five materials in Blender's Cycles beside our renderer: `python -m benchmarks materials --cycles BLENDER`.

A ball is written as a GLB and imported by Blender, before the surroundings of `render.relight` as a picture of the
world (linear, without any lamp); camera, film and colors are ours. Cycles follows paths, so that the split sum's
simplifications are what is compared.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nerf2mesh.fields.harmonics import spherical_harmonics
from nerf2mesh.mesh import TriangleMesh, save_mesh
from nerf2mesh.mesh.shapes import icosphere
from nerf2mesh.render.relight import environment, relight_mesh
from nerf2mesh.types import Camera

MATERIALS = {
    "plaster": ((0.8, 0.8, 0.78), 1.0, 0.0),
    "plastic": ((0.7, 0.15, 0.1), 0.4, 0.0),
    "varnish": ((0.2, 0.3, 0.6), 0.15, 0.0),
    "gold": ((0.95, 0.75, 0.4), 0.3, 1.0),
    "cast iron": ((0.5, 0.5, 0.52), 0.8, 1.0),
}
"""sRGB base color, roughness, metallic."""
SIZE_PX, WORLD_PX, SAMPLES = 128, 256, 256
TO_BLENDER = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""World axes (front +X, up +Z) to those of an imported GLB in Blender (front -Y, up +Z)."""
SCRIPT = """
import json, sys
import bpy, mathutils, numpy as np
asked = json.load(open(sys.argv[1]))
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", asked["samples"], False
scene.cycles.seed, scene.cycles.use_adaptive_sampling = 0, False
scene.render.resolution_x = scene.render.resolution_y = asked["size"]
scene.render.resolution_percentage, scene.render.film_transparent = 100, True
scene.render.image_settings.file_format = "PNG"
scene.render.image_settings.color_mode, scene.render.image_settings.color_depth = "RGBA", "16"
scene.view_settings.view_transform = "Standard"
world = bpy.data.worlds.new("world"); scene.world = world; world.use_nodes = True
pixels = np.load(asked["world"])
picture = bpy.data.images.new("world", pixels.shape[1], pixels.shape[0], float_buffer=True, is_data=True)
picture.pixels.foreach_set(np.ascontiguousarray(pixels[::-1], np.float32).reshape(-1)); picture.update(); picture.pack()
node = world.node_tree.nodes.new("ShaderNodeTexEnvironment"); node.image = picture
back = next(n for n in world.node_tree.nodes if n.type == "BACKGROUND")
world.node_tree.links.new(node.outputs[0], back.inputs[0])
camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera")); scene.collection.objects.link(camera)
scene.camera = camera; camera.matrix_world = mathutils.Matrix(asked["pose"])
camera.data.angle = asked["angle"]
for job in asked["jobs"]:
    before = set(scene.objects)
    bpy.ops.import_scene.gltf(filepath=job["glb"])
    scene.render.filepath = job["png"]
    bpy.ops.render.render(write_still=True)
    for item in set(scene.objects) - before:
        bpy.data.objects.remove(item)
"""


def ball(color: tuple[float, float, float], roughness: float, metallic: float) -> TriangleMesh:
    """A finely divided ball with true normals, of one material."""
    mesh = icosphere(5, 0.9)
    colors = np.tile(np.array(color, np.float32), (mesh.n_vertices, 1))
    normals = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    return replace(mesh, vertex_normals=normals, vertex_colors=colors, roughness=roughness, metallic=metallic)


def world_picture(surroundings: torch.Tensor) -> np.ndarray:
    """The surroundings as Blender's equirectangular picture [h, 2h, 4], rows from the top; linear."""
    row = (torch.arange(WORLD_PX, dtype=torch.float64) + 0.5) / WORLD_PX
    column = (torch.arange(2 * WORLD_PX, dtype=torch.float64) + 0.5) / (2 * WORLD_PX)
    polar, turn = torch.meshgrid(torch.pi * row, 2.0 * torch.pi * (0.5 - column), indexing="ij")
    theirs = torch.stack([polar.sin() * turn.cos(), polar.sin() * turn.sin(), polar.cos()], dim=-1)
    ours = theirs @ torch.from_numpy(TO_BLENDER)
    radiance = (spherical_harmonics(ours, 2) @ surroundings).numpy()
    return np.concatenate([radiance, np.ones_like(radiance[..., :1])], axis=-1).astype(np.float32)


def compared(blender: str, name: str = "studio") -> dict[str, float]:
    """PSNR in dB of each material over the ball's pixels, in the surroundings `name`. blender: a Python with bpy."""
    from PIL import Image

    surroundings = environment(name)
    camera = Camera.orbit(20.0, 15.0, width_px=SIZE_PX)
    pose = np.eye(4)
    pose[:3] = TO_BLENDER @ camera.camera_to_world.double().numpy()[:3]
    scores = {}
    with tempfile.TemporaryDirectory(prefix="n2m_cycles_") as place:
        folder = Path(place)
        np.save(folder / "world.npy", world_picture(surroundings))
        (folder / "render.py").write_text(SCRIPT)
        meshes = {kind: ball(*values) for kind, values in MATERIALS.items()}
        jobs = [
            {"glb": str(save_mesh(mesh, folder / f"{k}.glb")), "png": str(folder / f"{k}.png")}
            for k, mesh in enumerate(meshes.values())
        ]
        asked = {"jobs": jobs, "pose": pose.tolist(), "angle": float(np.radians(40.0)), "size": SIZE_PX}
        asked |= {"samples": SAMPLES, "world": str(folder / "world.npy")}
        (folder / "asked.json").write_text(json.dumps(asked))
        command = [blender, str(folder / "render.py"), str(folder / "asked.json")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise ValueError(f"--cycles: expected a Python with bpy, got {blender} ({done.stderr.strip()[-200:]})")
        for (kind, mesh), job in zip(meshes.items(), jobs, strict=True):
            theirs = np.asarray(Image.open(job["png"]).convert("RGBA"), np.float64) / 255.0
            ours = relight_mesh(mesh, camera, surroundings, supersample=4)
            inside = (ours.opacity.numpy() > 0.999) & (theirs[..., 3] > 0.999)
            error = np.square(ours.rgb.numpy()[inside] - theirs[..., :3][inside]).mean()
            scores[kind] = float(-10.0 * np.log10(max(error, 1e-10)))
    return scores
