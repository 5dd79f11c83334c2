"""nerf2mesh-rig: a skeleton, skinning weights and clips for any mesh file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nerf2mesh import __version__
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.export.files import SKINNED
from nerf2mesh.motion.rig.bvh import read_bvh
from nerf2mesh.motion.rig.export import save_rig
from nerf2mesh.motion.rig.fit import KINDS
from nerf2mesh.motion.rig.motion_clip import RigClip, own_clips, read_clip, retarget
from nerf2mesh.motion.rig.rigged import Rig, rig
from nerf2mesh.rights.inspect_file import read_record
from nerf2mesh.utils.argument_parser import ArgumentParser


def main(arguments: Sequence[str]) -> None:
    """Writes the rigged file and NAME.rig.json beside it. ValueError in one line."""
    parser = ArgumentParser("nerf2mesh-rig", description=__doc__)
    parser.add_argument("mesh", type=Path, help="a mesh file: GLB, glTF, OBJ, PLY, STL, OFF")
    parser.add_argument("--kind", choices=KINDS, default="auto")
    parser.add_argument(
        "--clip",
        nargs="*",
        help="idle, walk, wave, or BVH files; by default all that fit the kind; USD shows the first",
    )
    parser.add_argument("--up", default="y", help="the file's axis that points up: x, y, z, -x, -y, -z")
    parser.add_argument("--front", default="z", help="the file's axis that the figure faces")
    parser.add_argument("--out", type=Path, required=True, help="the .glb or .usdz to write")
    parser.add_argument("--version", action="version", version=f"nerf2mesh {__version__}")
    asked = parser.parse_args(arguments)
    if asked.out.suffix.lower() not in SKINNED:
        wanted = " or ".join(SKINNED)
        raise ValueError(f"--out: expected a name ending in {wanted}, got {asked.out.name!r}; rename the file")
    if asked.out.exists() and asked.mesh.exists() and asked.out.samefile(asked.mesh):
        raise ValueError(f"--out: expected another file than the mesh itself, got {asked.out.name}; rename it")
    if not asked.mesh.is_file():
        raise ValueError(f"mesh: expected a mesh file, got {asked.mesh}, which is none; give an existing file")
    for name in asked.clip or ():
        _check_clip(name)
    try:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_place(asked.out, error) from error
    made = rig(TriangleMesh.from_file(asked.mesh, up=asked.up, front=asked.front), asked.kind)
    clips = own_clips(made) if asked.clip is None else [_clip(name, made) for name in asked.clip]
    try:
        paths = save_rig(made, asked.out, clips)
    except OSError as error:
        raise _no_place(asked.out, error) from error
    for line in (*made.skeleton.notes, *_lost_record(asked.mesh)):
        print(f"note: {line}")
    said = f"{made.skeleton.kind}, {len(made.skeleton.moving())} joints, bind pose {made.skeleton.pose}"
    print("\n".join([f"done: {said}, clips {', '.join(clip.name for clip in clips) or 'none'}", *map(_line, paths)]))


def _line(path: Path) -> str:
    return f"  {path}"


def _no_place(out: Path, error: OSError) -> ValueError:
    why = f"{out} ({error.strerror or error})"
    return ValueError(f"--out: expected a place where files can be written, got {why}; choose another")


def _check_clip(name: str) -> None:
    """ValueError where a BVH file is missing or damaged, before the rig is made."""
    if not name.lower().endswith(".bvh"):
        return
    if not Path(name).is_file():
        raise ValueError(f"--clip: expected a BVH file, got {name}, which is none; give an existing file")
    read_bvh(name)


def _clip(name: str, made: Rig) -> RigClip:
    kind = made.skeleton.kind
    return retarget(read_bvh(name) if name.lower().endswith(".bvh") else read_clip(name, kind), made)


def _lost_record(path: Path) -> list[str]:
    """One line where the mesh carries a record: the new file is not sealed by it, since it holds more than it says."""
    try:
        read_record(path)
    except (ValueError, OSError):
        return []
    return ["the mesh carries a provenance record; the rigged file carries none (mesh.rig in a run keeps it)"]
