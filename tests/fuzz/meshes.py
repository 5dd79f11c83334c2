"""Damaged mesh files of every format that is read: each gives a mesh that can be measured, or one line with its name.

python -m tests.fuzz.meshes SECONDS [SEED]
"""

from __future__ import annotations

import functools
import io
import json
import random
import struct
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.objects.mesh import read_object
from tests.fuzz.common import command, damaged, damaged_json, damaged_text, run, stand_in


@functools.cache
def corpus() -> list[dict[str, bytes]]:
    """Small meshes, each as the files of its folder; the first is the mesh."""
    box = trimesh.creation.box()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    painted = box.copy()
    uv = np.random.default_rng(1).random((len(box.vertices), 2))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=picture, baseColorFactor=[200, 100, 50, 255])
    painted.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    two = trimesh.Scene([painted, box])
    obj = "mtllib m.mtl\n" + "".join(f"v {x} {y} {z}\n" for x, y, z in box.vertices)
    obj += "".join(f"vt {u} {v}\n" for u, v in uv) + "vn 0 0 1\nusemtl m\n"
    obj += "".join("f " + " ".join(f"{k + 1}/{k + 1}/1" for k in face) + "\n" for face in box.faces)
    mtl = "newmtl m\nKa 0 0 0\nKd 0.8 0.8 0.8\nd 1\nmap_Kd p.png\n"
    found = [{"m.obj": obj.encode(), "m.mtl": mtl.encode(), "p.png": stream.getvalue()}]
    found += [{"m.glb": two.export(file_type="glb")}, {"m.glb": painted.export(file_type="glb")}]
    gltf = {name: bytes(data) for name, data in trimesh.Scene([painted]).export(file_type="gltf").items()}
    found.append({"m.gltf": gltf.pop("model.gltf"), **gltf})
    found += [{"m.ply": box.export(file_type="ply", encoding=encoding)} for encoding in ("ascii", "binary")]
    found += [{"m.stl": box.export(file_type="stl")}, {"m.stl": box.export(file_type="stl_ascii").encode()}]
    found += [{"m.off": box.export(file_type="off").encode()}, {"m.npz": packed(box)}]
    return found


def packed(box: trimesh.Trimesh) -> bytes:
    stream = io.BytesIO()
    v, n = (box.vertices * 32767).astype(np.int16), (box.vertex_normals * 127).astype(np.int8)
    np.savez(stream, v=v, n=n, c=np.full_like(v, 100, np.uint8), f=box.faces.astype(np.uint16))
    return stream.getvalue()


def glb_changed(data: bytes, draw: random.Random) -> bytes:
    """A GLB whose JSON has odd values in it, its lengths right: the damage reaches the reader."""
    size = int.from_bytes(data[12:16], "little")
    tree = json.dumps(damaged_json(json.loads(data[20 : 20 + size]), draw)).encode()
    tree += b" " * (-len(tree) % 4)
    rest = data[20 + size :]
    return data[:8] + struct.pack("<II", 20 + len(tree) + len(rest), len(tree)) + b"JSON" + tree + rest


def changed(name: str, data: bytes, draw: random.Random) -> bytes:
    """The file damaged as its format allows."""
    suffix = Path(name).suffix
    if draw.random() < 0.4 or suffix in (".npz", ".png", ".bin"):
        return damaged(data, draw)
    if suffix == ".glb":
        return glb_changed(data, draw)
    if suffix == ".gltf":
        return json.dumps(damaged_json(json.loads(data), draw)).encode()
    return damaged_text(data.decode("latin-1"), draw).encode("utf-8", errors="replace")


def case(draw: random.Random, folder: Path) -> str:
    files = draw.choice(corpus())
    chosen = draw.choice([next(iter(files)), *files])
    for name, data in files.items():
        (folder / name).write_bytes(changed(name, data, draw) if name == chosen else data)
    if draw.random() < 0.05:
        stand_in(folder / chosen, draw)
    path = folder / next(iter(files))
    try:
        if path.suffix == ".npz" or draw.random() < 0.3:
            mesh = read_object(path, max_faces=50).triangle_mesh()
        else:
            mesh = TriangleMesh.from_file(path)
    except FileNotFoundError as error:
        raise ValueError(f"{path.name}: expected a file, got {error}") from error
    except ValueError as error:
        assert path.name in str(error), error
        raise
    used = mesh.vertices[mesh.faces]
    assert np.isfinite(used).all() and np.isfinite(mesh.area), "a mesh that cannot be measured"
    return path.name


def main(seconds: float, seed: int = 0) -> dict[str, int]:
    """Counts of cases, tracebacks and hangs, and of what was read and refused."""
    return run(case, seconds, seed)


if __name__ == "__main__":
    command(main)
