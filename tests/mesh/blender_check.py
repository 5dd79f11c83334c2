"""`make check-blender`: imports every format into Blender, headless, and compares what comes in.

The same bounds and the same way up, the texture there and sRGB, not metallic, not transparent; and Blender's own
picture (Cycles) against the field's, seen by the same camera. Blender is N2M_BLENDER (a Python with bpy, or a program),
.cache/bpy/bin/python, or `blender` on the PATH.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))

import analytic  # noqa: E402

from nerf2mesh.mesh import FieldAccess, MeshConfig, TriangleMesh, build_mesh, save_mesh  # noqa: E402
from nerf2mesh.mesh.export.blender import blender_command  # noqa: E402
from nerf2mesh.types import Camera  # noqa: E402

FORMATS = ("glb", "obj", "ply", "stl", "usdz", "fbx")
TEXTURED = ("glb", "obj", "usdz", "fbx")
SIZE_PX = 96
TO_BLENDER = np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
"""House (front +X) to Blender (front -Y); both have +Z up."""
BAR_DB, BAR_IOU, BAR_BOUNDS = 25.0, 0.97, 1e-3


def figure() -> FieldAccess:
    """A snowman with a nose: no two sides alike."""
    parts = [analytic.sphere(0.42, (0, 0, -0.3)), analytic.sphere(0.27, (0.05, 0.08, 0.28))]
    parts.append(lambda p: analytic.box((0.2, 0.06, 0.06))(p - p.new_tensor([0.35, 0.05, 0.28])))
    return analytic.solid(analytic.union(*parts), scale=400.0, n_steps=384)


def main() -> int:
    local = ROOT / ".cache" / "bpy" / "bin" / "python"
    if "N2M_BLENDER" not in os.environ and local.exists():
        os.environ["N2M_BLENDER"] = str(local)
    if blender_command() is None:
        print("no Blender: pip install bpy into .cache/bpy, or install blender, or set N2M_BLENDER")
        return 2
    access = figure()
    settings = {"resolution": 96, "target_faces": 6000, "texture_size": 512, "threshold": 30.0, "bake_views": 0}
    mesh, _ = build_mesh(access, MeshConfig(**settings))
    camera = Camera.orbit(35.0, 20.0, width_px=SIZE_PX)
    shown = access.render(camera)
    with tempfile.TemporaryDirectory(prefix="n2m_blender_") as folder:
        rows = [check(name, mesh, camera, shown, Path(folder)) for name in FORMATS]
    for row in rows:
        print(
            f"{row['format']:>5}: " + ("ok" if not row["wrong"] else "WRONG: " + "; ".join(row["wrong"])) + row["said"]
        )
    return 1 if any(row["wrong"] for row in rows) else 0


def check(name: str, mesh: TriangleMesh, camera: Camera, shown, folder: Path) -> dict:
    path = save_mesh(mesh, folder / f"m.{name}")
    job = {
        "path": str(path),
        "size_px": SIZE_PX,
        "pose": (TO_BLENDER @ camera.camera_to_world.numpy().astype(float)).tolist(),
        "focal_px": float(camera.focal_px[0]),
        "picture": str(folder / f"{name}.png"),
        "result": str(folder / f"{name}.json"),
    }
    (folder / "job.json").write_text(json.dumps(job))
    command = [*blender_command(), str(Path(__file__).with_name("blender_import.py")), "--", str(folder / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode != 0 or not Path(job["result"]).exists():
        return {"format": name, "wrong": ["import failed"], "said": "\n" + (done.stderr or done.stdout)[-1500:]}
    found = json.loads(Path(job["result"]).read_text(encoding="utf-8"))
    return {"format": name, **judged(name, mesh, found, np.asarray(Image.open(job["picture"])) / 255.0, shown)}


def judged(name: str, mesh: TriangleMesh, found: dict, picture: np.ndarray, shown) -> dict:
    wrong = []
    wanted = mesh.vertices @ TO_BLENDER[:3, :3].T
    off = np.abs(np.array(found["bounds"]) - [wanted.min(0), wanted.max(0)]).max()
    if off > BAR_BOUNDS:
        wrong.append(f"bounds {np.round(found['bounds'], 3).tolist()}, off by {off:.4f}")
    if found["faces"] != mesh.n_faces:
        wrong.append(f"{found['faces']} faces for {mesh.n_faces}")
    inside = shown.opacity.numpy() > 0.5
    drawn = picture[..., 3] > 0.5
    iou = (inside & drawn).sum() / (inside | drawn).sum()
    if iou < BAR_IOU:
        wrong.append(f"silhouette IoU {iou:.3f}")
    said = f"  (Blender {found['version']}; bounds off by {off:.1e}, silhouette IoU {iou:.4f}"
    if name in TEXTURED:
        material = found["materials"][0] if found["materials"] else {}
        if not material.get("image") or material["colorspace"] != "sRGB" or not found["uv_layers"]:
            wrong.append(f"texture: {material}, uv {found['uv_layers']}")
        if material.get("metallic") != 0.0 or material.get("alpha") != 1.0:
            wrong.append(f"metallic {material.get('metallic')}, alpha {material.get('alpha')}")
        both = (shown.opacity.numpy() > 0.99) & (picture[..., 3] > 0.99)
        straight = (shown.rgb / shown.opacity.clamp_min(1e-6)[..., None]).numpy()
        psnr = -10 * math.log10(np.square(picture[..., :3] - straight)[both].mean())
        if psnr < BAR_DB:
            wrong.append(f"picture {psnr:.1f} dB from the field's")
        said += f", colors {psnr:.1f} dB, metallic {material.get('metallic')}, roughness {material.get('roughness')}"
    elif name == "ply" and not found["color_attributes"]:
        wrong.append("no vertex colors")
    return {"wrong": wrong, "said": said + ")"}


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
