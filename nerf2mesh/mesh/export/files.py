"""Writes a mesh as GLB, OBJ (+ MTL + PNG), PLY, STL, 3MF, USDZ, FBX or Alembic: +Y up, +Z front in every format.

World (x, y, z) becomes file (y, z, x).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nerf2mesh.mesh.config import FORMATS
from nerf2mesh.mesh.export.blender import glb_through_blender
from nerf2mesh.mesh.export.gltf import png_bytes, split_seams, write_glb
from nerf2mesh.mesh.export.gltf_skin import add_skin
from nerf2mesh.mesh.export.skin import Skin
from nerf2mesh.mesh.export.threemf import write_3mf
from nerf2mesh.mesh.export.usd import write_usdz
from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.render.rasterizer_reference import sample_texture
from nerf2mesh.rights import Record
from nerf2mesh.rights.containers import CARRIERS, comment_lines
from nerf2mesh.rights.seal import BLANK, sealed
from nerf2mesh.utils.atomic_write import atomic_write
from nerf2mesh.utils.scratch import scratch

SUFFIXES = tuple(f".{name}" for name in FORMATS)
MOVING = (".glb", ".usdz", ".obj", ".abc")
"""Formats that can carry an animation."""
SKINNED = (".glb", ".usdz")
"""Formats that can carry a skeleton."""
IN_MILLIMETRES = (".stl", ".3mf")
"""Formats of printers."""


def save_mesh(
    mesh: TriangleMesh,
    path: str | Path,
    *,
    scale: float = 1.0,
    frames: list[np.ndarray] | None = None,
    frames_per_second: float = 8.0,
    track: VertexTrack | None = None,
    record: Record | None = None,
    skin: Skin | None = None,
) -> Path:
    """Writes `mesh` in the format that the suffix of `path` names and returns the path.

    scale: metres (millimetres for the habits of STL printers) per world unit.
    frames: later positions [V, 3] of an animation in the world frame, the mesh being the first frame; or
    track: the same with times, which GLB gets as morph targets, USDZ and Alembic as time samples, OBJ as a folder.
    record: what the mesh was made of, which GLB, OBJ, PLY and USDZ carry and are sealed with (`rights.containers`).
    skin: joints, weights and animations of a rigged mesh, GLB and USDZ only (`motion.rig`).
    Raises ValueError for an unknown suffix, an empty or non-finite mesh, or a folder that cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"path: expected a name ending in {', '.join(SUFFIXES)}, got {path.name!r}; rename the file")
    if not mesh.n_faces:
        raise ValueError("mesh: expected at least one face, got none; lower mesh.threshold")
    if not np.isfinite(mesh.vertices).all():
        raise ValueError("mesh.vertices: expected finite positions, got NaN or infinity; repair the mesh first")
    if frames:
        track = _regular(mesh, frames, frames_per_second)
    if track is not None and suffix not in MOVING:
        raise ValueError(f"frames: expected {', '.join(MOVING)} for an animation, got {suffix}; save as .glb")
    if skin is not None and (suffix not in SKINNED or track is not None or len(skin.joints) != mesh.n_vertices):
        raise ValueError("skin: expected .glb or .usdz, this mesh's vertices and no frames, got others; save as .glb")
    turned = to_file_axes(mesh, scale)
    if track is not None:
        track = VertexTrack(track.times_s, to_file_positions(track.positions, scale).astype(np.float32))
    if suffix == ".glb":
        extend = None if skin is None else partial(add_skin, skin=skin, scale=scale)
        with sealed_file(path, record) as stream:
            write_glb(turned, stream, track=track, record=record, extend=extend)
    elif suffix == ".usdz":
        with sealed_file(path, record) as stream:
            write_usdz(turned, stream, record, track, skin, scale)
    else:
        _write_others(turned, path, suffix, record, track)
    return path


def _regular(mesh: TriangleMesh, frames: list[np.ndarray], rate: float) -> VertexTrack:
    for k, frame in enumerate(frames):
        if np.shape(frame) != mesh.vertices.shape or not np.isfinite(frame).all():
            wanted, got = list(mesh.vertices.shape), list(np.shape(frame))
            raise ValueError(
                f"frames[{k}]: expected finite positions {wanted} of the same vertices, got {got}; check the animation"
            )
    times = tuple(float(k / rate) for k in range(len(frames) + 1))
    return VertexTrack(times, np.stack([mesh.vertices, *frames]).astype(np.float32))


def _write_others(
    mesh: TriangleMesh, path: Path, suffix: str, record: Record | None, track: VertexTrack | None
) -> None:
    if suffix == ".obj":
        _write_obj(mesh, path, record)
        return None if track is None else _write_obj_frames(mesh, path, record, track)
    if suffix in (".fbx", ".abc"):
        return _write_by_blender(mesh, path, track)
    with sealed_file(path, record if suffix in CARRIERS else None) as stream:
        if suffix == ".3mf":
            return write_3mf(mesh, stream)
        return _write_ply(mesh, stream, record) if suffix == ".ply" else _write_stl(mesh, stream)


def scale_to(mesh: TriangleMesh, longest_m: float) -> float:
    """The `scale` of `save_mesh` at which the longest side of the mesh's box is `longest_m` metres; 1 for 0."""
    size = float(np.ptp(mesh.bounds, axis=0).max())
    return longest_m / size if longest_m > 0.0 and size > 0.0 else 1.0


def to_file_positions(positions: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Positions or directions [..., 3] in the world frame, turned to +Y up, +Z front and multiplied by `scale`."""
    return np.asarray(positions)[..., [1, 2, 0]] * scale


def to_file_axes(mesh: TriangleMesh, scale: float = 1.0) -> TriangleMesh:
    """The mesh turned to +Y up, +Z front and scaled."""
    normals = None if mesh.vertex_normals is None else to_file_positions(mesh.vertex_normals)
    return replace(mesh, vertices=to_file_positions(mesh.vertices, scale), vertex_normals=normals)


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A binary stream to `path`, which holds the whole file or the former one at any moment (`utils.atomic_write`).

    Raises ValueError where the file system refuses.
    """
    try:
        with atomic_write(path) as part, part.open("wb") as stream:
            yield stream
    except OSError as error:
        reason = f"{type(error).__name__}: {error.strerror}"
        raise ValueError(
            f"path: expected a place to write to, got {path} ({reason}); free space or choose another folder"
        ) from error


@contextmanager
def sealed_file(path: Path, record: Record | None) -> Iterator[BinaryIO]:
    """As `written`; a file that carries the record is sealed before it is there."""
    if record is None:
        with written(path) as stream:
            yield stream
        return
    buffer = io.BytesIO()
    yield buffer
    with written(path) as stream:
        stream.write(sealed(buffer.getvalue(), path.suffix.lower(), record.signer))


def _write_obj_frames(mesh: TriangleMesh, path: Path, record: Record | None, track: VertexTrack) -> None:
    """STEM_frames/STEM_0000.obj and so on, one for each frame, with the material of the first."""
    folder = path.with_name(f"{path.stem}_frames")
    folder.mkdir(exist_ok=True)
    for k, positions in enumerate(track.positions):
        frame = replace(mesh, vertices=positions, vertex_normals=None)
        material = f"{path.stem.replace(' ', '_')}_0000.mtl" if k else ""
        _write_obj(frame, folder / f"{path.stem}_{k:04d}.obj", record, material)


def _write_obj(mesh: TriangleMesh, path: Path, record: Record | None, material: str = "") -> None:
    """OBJ keeps positions welded: `v` and `vt` are indexed apart. Vertex colors follow the position, as in Blender.

    material: a file that is there already.
    """
    stem = path.stem.replace(" ", "_")
    texture = mesh.texture if mesh.uv is not None else None
    record = record if material else _with_side_files(mesh, path, stem, record)
    carried = comment_lines(record.text(), BLANK, "#") if record else []
    lines = ["# nerf2mesh: +Y up, +Z front", *carried, f"mtllib {material or stem + '.mtl'}", "o mesh"]
    if mesh.vertex_colors is not None and texture is None:
        rows = np.concatenate([mesh.vertices, mesh.vertex_colors], axis=1).tolist()
        lines += [f"v {x:.8g} {y:.8g} {z:.8g} {r:.4f} {g:.4f} {b:.4f}" for x, y, z, r, g, b in rows]
    else:
        lines += [f"v {x:.8g} {y:.8g} {z:.8g}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"vn {x:.5f} {y:.5f} {z:.5f}" for x, y, z in mesh.normals.tolist()]
    faces = (mesh.faces + 1).tolist()
    if mesh.uv is not None:
        uv, index = np.unique(mesh.uv.reshape(-1, 2), axis=0, return_inverse=True)
        lines += [f"vt {u:.7g} {v:.7g}" for u, v in uv.tolist()]
        lines += ["usemtl material"]
        pairs = zip(faces, (index.reshape(-1, 3) + 1).tolist())
        lines += [f"f {a}/{p}/{a} {b}/{q}/{b} {c}/{r}/{c}" for (a, b, c), (p, q, r) in pairs]
    else:
        lines += ["usemtl material"]
        lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in faces]
    with sealed_file(path, record) as stream:
        stream.write("\n".join([*lines, ""]).encode())


def _with_side_files(mesh: TriangleMesh, path: Path, stem: str, record: Record | None) -> Record | None:
    """Writes an OBJ's material and textures; the record with their digests.

    Roughness and metallic as Pr, Pm, map_Pr and map_Pm, the extension of MTL that Blender and most engines read.
    """
    files: dict[str, bytes] = {}
    material = ["newmtl material", "Ka 0 0 0", "Kd 1 1 1", "Ks 0 0 0", "d 1", "illum 1"]
    if mesh.texture is not None and mesh.uv is not None:
        material.append(f"map_Kd {stem}.png")
        files[f"{stem}.png"] = png_bytes(mesh.texture)
        if mesh.normal_map is not None:
            material.append(f"norm {stem}_normal.png")
            files[f"{stem}_normal.png"] = png_bytes(mesh.normal_map)
    if mesh.orm is not None and mesh.uv is not None:
        for key, name, channel in (("map_Pr", "roughness", 1), ("map_Pm", "metallic", 2)):
            material.append(f"{key} {stem}_{name}.png")
            files[f"{stem}_{name}.png"] = png_bytes(np.repeat(mesh.orm[..., channel : channel + 1], 3, axis=-1))
    else:
        material += [f"Pr {mesh.roughness:g}", f"Pm {mesh.metallic:g}"]
    files[f"{stem}.mtl"] = "\n".join([*material, ""]).encode()
    for name, data in files.items():
        with written(path.with_name(name)) as stream:
            stream.write(data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return record.plus(files=digests) if record else None


def _write_by_blender(mesh: TriangleMesh, path: Path, track: VertexTrack | None) -> None:
    with scratch("n2m_blender_") as folder:
        source, made = Path(folder) / "mesh.glb", Path(folder) / f"mesh{path.suffix.lower()}"
        with open(source, "wb") as stream:
            write_glb(mesh, stream, track=track)
        rate = 24.0 if track is None else _sampled_at(track.times_s)
        last = 0 if track is None else round((track.times_s[-1] - track.times_s[0]) * rate)
        glb_through_blender(source, made, rate=rate, last=last)
        with written(path) as stream:
            stream.write(made.read_bytes())


def _sampled_at(times_s: tuple[float, ...]) -> float:
    """The rate at which each of the times is a sample; 100 a second where they are not evenly spaced."""
    steps = np.diff(times_s)
    return float(1.0 / steps.mean()) if np.abs(steps / steps.mean() - 1.0).max() < 0.01 else 100.0


def _write_ply(mesh: TriangleMesh, stream: BinaryIO, record: Record | None) -> None:
    """Binary, welded; a textured mesh gets the texture's color at each vertex."""
    colors = vertex_colors(mesh)
    kinds = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("nx", "<f4"), ("ny", "<f4"), ("nz", "<f4")]
    kinds += [] if colors is None else [("red", "u1"), ("green", "u1"), ("blue", "u1")]
    rows = np.empty(mesh.n_vertices, dtype=kinds)
    for k in range(3):
        rows[kinds[k][0]], rows[kinds[k + 3][0]] = mesh.vertices[:, k], mesh.normals[:, k]
        if colors is not None:
            rows[kinds[k + 6][0]] = np.round(255.0 * np.clip(colors[:, k], 0.0, 1.0))
    faces = np.empty(mesh.n_faces, dtype=[("n", "u1"), ("index", "<i4", 3)])
    faces["n"], faces["index"] = 3, mesh.faces
    header = ["ply", "format binary_little_endian 1.0", "comment nerf2mesh: +Y up, +Z front"]
    header += comment_lines(record.text(), BLANK, "comment") if record else []
    header += [f"element vertex {mesh.n_vertices}"]
    header += [f"property {'uchar' if kind == 'u1' else 'float'} {name}" for name, kind in kinds]
    header += [f"element face {mesh.n_faces}", "property list uchar int vertex_indices", "end_header", ""]
    stream.write("\n".join(header).encode() + rows.tobytes() + faces.tobytes())


def _write_stl(mesh: TriangleMesh, stream: BinaryIO) -> None:
    kind = [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")]
    rows = np.zeros(mesh.n_faces, dtype=kind)
    rows["normal"], rows["corners"] = mesh.face_normals, mesh.corners
    stream.write(b"nerf2mesh: +Y up, +Z front".ljust(80) + np.uint32(mesh.n_faces).tobytes() + rows.tobytes())


def vertex_colors(mesh: TriangleMesh) -> np.ndarray | None:
    """Colors [V, 3] of a mesh that has a texture or vertex colors, else None."""
    if mesh.texture is None or mesh.uv is None:
        return mesh.vertex_colors
    source, uv = split_seams(mesh)
    assert uv is not None
    colors = np.zeros((mesh.n_vertices, 3))
    colors[source.vertex] = sample_texture(mesh.texture, uv)
    return colors
