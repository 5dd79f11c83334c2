"""Rigs of characters and animals: joints inside, weights, bends by 45 degrees, and pictures of a walk.

    python -m benchmarks rigging --data FOLDER --n 20 --out DIR

The objects are FIGURES of the folder with a manifest.jsonl, in this order. Models made for games are open and lie in
pieces, so each is first made one closed mesh of about 6000 faces, as a run makes them: its inside as voxels, marching
cubes, decimation. For each: seconds of `nerf2mesh.rig`; the share of joints inside by the winding number; how far sums
of weights are from 1; whether all humanoid names are there. Then every joint but the root is turned by 45 degrees, the
way it bends (BENDS), and the change of the enclosed volume is measured, and how many more pairs of faces cross, as a
share of the faces. The chest of an animal is raised; lowered, which swings the front legs into the belly whatever the
weights are, it has a column of its own. The same command goes on where it stopped; DIR gets rigging.md and walk.jpg.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from benchmarks.kept import Row, keep_rows, kept_rows
from nerf2mesh.evaluate.protocols.objects import lit_mesh
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.surface.intersections import count_self_intersections
from nerf2mesh.mesh.surface.simplify import simplify
from nerf2mesh.motion.rig import Rig, read_clip, retarget, rig
from nerf2mesh.motion.rig.rotations import about
from nerf2mesh.motion.rig.skeleton import UNITY_NAMES
from nerf2mesh.motion.rig.volume import solid_of
from nerf2mesh.objects.folder import ObjectFolder
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera

FIGURES = (
    *("8e6a3c2a", "22e714d8", "24f0f5fd", "04e30608", "871a6cb9", "69f8852f"),
    *("41f1a865", "ecf3b15e", "fdd5e70d", "a615aac8", "67b62e9d", "b43b464a"),
    *("64ad070c", "1bf734df", "90c9c0df", "bfa4bbb3", "782e9d68", "377812a2"),
    *("21d7ae14", "34490254"),
)
"""Beginnings of file names: 12 characters in T- or A-pose, among them hats, skirts, a bag, ears, large heads; 8 animals
on four legs."""
FACES = 6000
BENDS: dict[str, tuple[str, float]] = {
    "UpLeg": ("y", -1.0),
    "Leg": ("y", 1.0),
    "Foot": ("y", -1.0),
    "ToeBase": ("y", -1.0),
    "Shoulder": ("x", 1.0),
    "Arm": ("x", 1.0),
    "ForeArm": ("z", -1.0),
    "Hand": ("x", -1.0),
    "Tail": ("z", 1.0),
    "Tail1": ("z", 1.0),
    "Tail2": ("z", 1.0),
}
"""Axis and sign of each joint's bend, of left ones; those of the spine, neck and head bend forward, about +y. About x
and z, right ones turn the other way. Legs of animals turn about y, and their chest (RAISED) bends backward."""
RAISED = "Spine2"
BOUND_CROSSING = 0.02
"""Growth of crossing pairs of faces over faces."""
PHASES, TILE_PX = 6, 84


def closed_mesh(mesh: TriangleMesh, n_faces: int = FACES) -> TriangleMesh:
    """The mesh's inside with a new surface; vertex colors are those of the nearest old vertex."""
    import mcubes
    from scipy.ndimage import gaussian_filter
    from scipy.spatial import KDTree

    solid = solid_of(mesh, 150_000)
    field = gaussian_filter(solid.solid.astype(np.float32), 0.7)
    vertices, faces = mcubes.marching_cubes(field, 0.5)
    made = TriangleMesh(solid.origin + solid.cell * vertices, faces.astype(np.int64))
    made = made if made.volume > 0 else TriangleMesh(made.vertices, made.faces[:, ::-1])
    small = simplify(made, n_faces)[0]
    near = KDTree(mesh.vertices).query(small.vertices)[1]
    colors = None if mesh.vertex_colors is None else mesh.vertex_colors[near]
    return TriangleMesh(small.vertices, small.faces, vertex_colors=colors)


def winding(mesh: TriangleMesh, points: np.ndarray) -> np.ndarray:
    """Winding number [n] of the mesh around points (Van Oosterom and Strackee 1983): 1 inside, 0 outside."""
    a, b, c = (mesh.corners[:, k] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
    volume = (a * np.cross(b, c)).sum(-1)
    below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return np.arctan2(volume, below).sum(1) / (2.0 * np.pi)


def bend(made: Rig, joint: int, degrees: float = 45.0) -> TriangleMesh:
    """The mesh with one joint turned the way it bends."""
    name = made.skeleton.names[joint]
    side = next((s for s in ("Left", "Right") if name.startswith(s)), "")
    axis, sign = BENDS.get(name.removeprefix(side), ("y", 1.0))
    if made.skeleton.kind == "quadruped":
        axis, sign = ("y", sign) if side else (axis, -sign if name == RAISED else sign)
    sign = -sign if side == "Right" and axis != "y" else sign
    local = np.tile(np.eye(3), (len(made.skeleton.names), 1, 1))
    local[joint] = about(axis, sign * degrees)
    return TriangleMesh(made.posed(local), made.mesh.faces)


def measured(mesh: TriangleMesh) -> tuple[Row, Rig]:
    """The figures of one mesh, and its rig."""
    start = time.perf_counter()
    made = rig(mesh)
    seconds = time.perf_counter() - start
    names = made.skeleton.names
    crossing, volumes, crossings = count_self_intersections(mesh), {}, {}
    for joint in made.skeleton.moving()[1:]:
        bent = bend(made, joint)
        volumes[names[joint]] = abs(bent.volume / mesh.volume - 1.0)
        crossings[names[joint]] = (count_self_intersections(bent) - crossing) / mesh.n_faces
    animal = made.skeleton.kind == "quadruped" and RAISED in names
    lowered = bend(made, names.index(RAISED), -45.0) if animal else mesh
    worst, most = max(volumes, key=lambda k: volumes[k]), max(crossings, key=lambda k: crossings[k])
    inside = winding(mesh, made.skeleton.positions) > 0.5
    row: Row = {
        "kind": made.skeleton.kind,
        "pose": made.skeleton.pose,
        "joints": len(names),
        "inside": int(inside.sum()),
        "sum_error": float(np.abs(made.weights.values.sum(1) - 1.0).max()),
        "humanoid": set(UNITY_NAMES) <= set(names) if made.skeleton.kind == "biped" else None,
        "volume": volumes[worst],
        "volume_joint": worst,
        "volume_mean": float(np.mean(list(volumes.values()))),
        "crossing": crossings[most],
        "crossing_joint": most,
        "crossing_mean": float(np.mean(list(crossings.values()))),
        "lowered": (count_self_intersections(lowered) - crossing) / mesh.n_faces if animal else None,
        "over_bound": sum(value > BOUND_CROSSING for value in crossings.values()),
        "seconds": seconds,
        "notes": list(made.skeleton.notes),
    }
    return row, made


def walk_strip(made: Rig) -> Image.Image:
    """Pictures of the walk, or of idling where there is no walk, at even phases."""
    kind = made.skeleton.kind
    clip = retarget(read_clip("walk" if kind != "spine" else "idle", kind), made)
    middle, size = made.mesh.center, 1.5 * float(np.ptp(made.mesh.bounds, axis=0)[[0, 2]].max())
    strip = Image.new("RGB", (PHASES * TILE_PX, TILE_PX), "white")
    camera = Camera.orbit(50.0, 8.0, width_px=TILE_PX)
    for k in range(PHASES):
        t = round(k * (len(clip.moved) - 1) / PHASES)
        posed = (made.posed(clip.local[t], clip.moved[t]) - middle) * (2.0 / size)
        colors = made.mesh.vertex_colors
        shown = rasterize_mesh(
            TriangleMesh(posed, made.mesh.faces, vertex_colors=colors), camera, supersample=2, shading="lambert"
        )
        pixels = (255 * shown.over(1.0).clamp(0, 1)).round().to(torch.uint8).reshape(TILE_PX, TILE_PX, 3)
        strip.paste(Image.fromarray(pixels.numpy()), (k * TILE_PX, 0))
    return strip


def main(argv: Sequence[str] | None = None) -> int:
    """Measures what is not measured yet; prints a line for each, and writes the table and the contact sheet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks rigging", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of meshes with a manifest.jsonl")
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True, help="folder for rows, pictures and the table")
    asked = parser.parse_args(argv)
    asked.out.mkdir(parents=True, exist_ok=True)
    rows = kept_rows(asked.out / "rows.json", {"faces": FACES})
    folder = ObjectFolder(asked.data)
    for prefix in FIGURES[: asked.n]:
        if any(str(row["object"]).startswith(prefix) for row in rows):
            continue
        entry = next((entry for entry in folder.entries if entry.path.stem.startswith(prefix)), None)
        if entry is None:
            raise ValueError(f"--data: expected the object {prefix}, got none in {asked.data}; use the whole folder")
        row, made = measured(closed_mesh(lit_mesh(folder.read(entry), entry.path.name)))
        walk_strip(made).save(asked.out / f"{entry.path.stem}.png")
        rows.append({"object": entry.path.stem, "what": entry.kind, **row})
        keep_rows(asked.out / "rows.json", {"faces": FACES}, rows)
        print(table([rows[-1]])[-1], flush=True)
    print("\n".join(summary(rows)))
    (asked.out / "rigging.md").write_text("\n".join([*table(rows), "", *summary(rows), ""]), encoding="utf-8")
    contact_sheet(rows, asked.out).save(asked.out / "walk.jpg", quality=80)
    return 0


def table(rows: Sequence[Row]) -> list[str]:
    """Markdown, a line for each object."""
    lines = [
        "| object | kind | pose | joints inside | weights' sums off by | volume at 45 degrees, most | mean | "
        "crossing pairs over faces, most | mean | animal's chest lowered | seconds |",
        "| --- | --- | --- | ---: | ---: | --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for r in rows:
        lines.append(
            f"| {r['object']} | {r['kind']} | {r['pose']} | {r['inside']} of {r['joints']} | {r['sum_error']:.0e} | "
            f"{r['volume']:.1%} ({r['volume_joint']}) | {r['volume_mean']:.1%} | {r['crossing']:.1%} "
            f"({r['crossing_joint']}) | {r['crossing_mean']:.2%} | "
            f"{'' if r['lowered'] is None else format(r['lowered'], '.1%')} | {r['seconds']:.1f} |"
        )
    return lines


def summary(rows: Sequence[Row]) -> list[str]:
    """The totals, a line each."""
    if not rows:
        return ["nothing was measured"]
    total = {key: np.array([row[key] for row in rows], np.float64) for key in ("inside", "joints", "volume", "seconds")}
    bent = total["joints"].sum()
    bipeds = [row for row in rows if row["kind"] == "biped"]
    lowered = np.array([row["lowered"] for row in rows if row["lowered"] is not None], np.float64)
    over = np.array([row["over_bound"] for row in rows], np.int64)
    kinds = ", ".join(f"{sum(row['kind'] == k for row in rows)} {k}" for k in ("biped", "quadruped", "spine"))
    return [
        f"{len(rows)} objects: {kinds}.",
        f"Joints inside: {int(total['inside'].sum())} of {int(bent)} ({total['inside'].sum() / bent:.1%}).",
        f"Sums of weights off by at most {max(float(str(row['sum_error'])) for row in rows):.0e}.",
        f"Largest change of volume: {total['volume'].max():.1%}; under 10 % on "
        f"{int((total['volume'] < 0.1).sum())} of {len(rows)}.",
        f"Joints whose bend lets crossing pairs grow by over {BOUND_CROSSING:.0%} of the faces: "
        f"{over.sum()}, on {(over > 0).sum()} objects; most {max(float(str(row['crossing'])) for row in rows):.1%}.",
        f"Animals' chests lowered instead: over {BOUND_CROSSING:.0%} on {int((lowered > BOUND_CROSSING).sum())} of "
        f"{len(lowered)}, most {lowered.max(initial=0.0):.1%}.",
        f"All humanoid names: {sum(bool(row['humanoid']) for row in bipeds)} of {len(bipeds)} bipeds.",
        f"Seconds a rig: mean {total['seconds'].mean():.1f}, most {total['seconds'].max():.1f}.",
    ]


def contact_sheet(rows: Sequence[Row], folder: Path) -> Image.Image:
    """All strips, two columns."""
    width, lines = PHASES * TILE_PX, -(-len(rows) // 2)
    sheet = Image.new("RGB", (2 * width + 8, max(lines, 1) * TILE_PX), "white")
    draw = ImageDraw.Draw(sheet)
    for k, row in enumerate(rows):
        place = ((k % 2) * (width + 8), k // 2 * TILE_PX)
        sheet.paste(Image.open(folder / f"{row['object']}.png"), place)
        draw.text(place, str(row["object"])[:8], fill=(150, 60, 60))
    return sheet
