"""Protocol `core`: reconstruction of three real meshes and of 20 procedural objects with exact signed distances.

Real objects, read from `data_dir` (`reference_meshes`)
    Spot, Bob and Avocado, turned from their files' +Y up to the world's +Z up, with the face (the avocado's cut) along
    +X, so that azimuth 0 looks the cow in the eyes; then put into the canonical frame.
Procedural objects
    proc-00 to proc-19: seed CORE_SEED + k of the shape grammar, of the family named in `protocol_names`: every family
    that priors are trained on, and the three that none is. Seeds were taken in order, none was left out; no prior is
    trained on them (training seeds lie far below).
Canonical frame (`canonical.canonical_frame`)
    The bounding box is centered on the origin, and the farthest vertex lies at distance 0.9: whatever way the object is
    turned it stays inside the box [-1, 1]^3, and inside every picture below.
Input
    Track image: one picture from the front: azimuth 0, elevation 20 degrees, distance 3.2, vertical field of view 40
    degrees, 256 px, RGBA with straight alpha, flat color without light. The method is given this camera: it must not
    move or scale the picture (`input.recenter=false`). Nothing is aligned afterwards. Other tracks: `cases`.
    Several sides (`yaws=8`): the object is turned about Z by as many even steps, case NAME@045 showing its side at
    azimuth 45 degrees; the turned object is put into the canonical frame, all else stays.
Novel views
    16 on a ring at the same distance and field of view: azimuth 22.5 k degrees, elevation 0 for even k, 30 for odd,
    256 px. None has the input's elevation; k = 0 is nearest to it, 20 degrees below.
Truth
    Real: the mesh by the library's rasterizer (4 x 4 samples a pixel). Procedural: the signed distance itself, traced
    with 2 x 2 rays a pixel; solids by its sign (`exact_cases`).
Scores
    See `scoring` (white background, unlit), `geometry` (Chamfer point to triangle, F at 0.02, 0.05 and 0.1 of the world
    unit, 20,000 samples each way) and `solids` (volume IoU on 128^3 voxels of the world box). The baseline `true mesh`
    is the floor of every metric: truth measured as a result is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nerf2mesh.evaluate.metrics.solids import occupancy
from nerf2mesh.evaluate.protocols.canonical import canonical_frame, make_case, ring_cameras, turned
from nerf2mesh.evaluate.protocols.names import KNOWN_FAMILIES, NEW_FAMILIES, PROCEDURAL, REAL_OBJECTS, split_yaw
from nerf2mesh.evaluate.protocols.procedural_objects import turned_scene
from nerf2mesh.evaluate.protocols.reference_meshes import load_mesh, require_meshes
from nerf2mesh.evaluate.protocols.scoring import Case, Settings
from nerf2mesh.procedural.render import Scenes

CORE_SEED = (1 << 30) + (1 << 21)
NAMES = (*REAL_OBJECTS, *PROCEDURAL)


def core(
    objects: Sequence[str] | None = None,
    *,
    data_dir: Path | str | None = None,
    cache: Path | None = None,
    settings: Settings | None = None,
) -> list[Case]:
    """The cases of protocol `core`, all 23 or those named; `data_dir` has the real ones.

    ValueError: other names, or files that are not in `data_dir`.
    """
    unknown = sorted(set(objects or ()) - set(NAMES))
    if unknown:
        raise ValueError(f"objects: expected names out of {', '.join(NAMES)}, got {', '.join(unknown)}; correct them")
    wanted = [name for name in NAMES if not objects or name in objects]
    require_meshes(wanted, data_dir)
    return [core_case(name, data_dir=data_dir, cache=cache, settings=settings) for name in wanted]


def core_case(
    name: str,
    *,
    look: str = "photo",
    data_dir: Path | str | None = None,
    cache: Path | None = None,
    settings: Settings | None = None,
) -> Case:
    """One case, of a name or of NAME@YAW. `cache` keeps the truth of procedural objects; `look` other than photo draws
    the input picture."""
    settings = settings or Settings()
    known, yaw_deg = split_yaw(name)
    if known in PROCEDURAL:
        from nerf2mesh.evaluate.protocols.exact_cases import ExactTruth

        truth = ExactTruth(novel=ring_cameras(), settings=settings, lit=False, cache=cache)
        return truth.case(name, turned_scene(scene(known), yaw_deg), look)
    from nerf2mesh.evaluate.protocols.heldout import drawn_case

    mesh = load_mesh(known, data_dir)
    case = make_case(name, canonical_frame(turned(mesh, yaw_deg)) if yaw_deg else mesh, settings=settings)
    case = replace(case, solid=occupancy(case.known_mesh, settings.iou_resolution))
    return case if look == "photo" else drawn_case(case, look)


def scene(name: str) -> Scenes:
    """The Scenes of one procedural object as the grammar gives it, not yet in the canonical frame."""
    from nerf2mesh.procedural.grammar import sample_scenes

    seed, family = seed_and_family(name)
    return sample_scenes([seed], [family])


def prompt(name: str) -> str:
    """What a procedural object is in words, for track text."""
    from nerf2mesh.procedural.captions import caption

    seed, family = seed_and_family(name)
    return caption(seed, [family])


def seed_and_family(name: str) -> tuple[int, str]:
    """The seed of the shape grammar and the family of a procedural object."""
    k = PROCEDURAL.index(name)
    return CORE_SEED + k, (KNOWN_FAMILIES + NEW_FAMILIES)[k]
