"""Cases by name: of one protocol and track, the objects there are, and one of them made ready.

Track `sketch` gives a drawing of the input view, in one of the looks of `procedural.drawing`.
Tracks `views2`, `views3` and `views4` give two to four views, evenly turned at the elevation of the protocol's input,
the first being that input; `views60` gives that input and 59 more, spread over the sphere between -30 and 60 degrees of
elevation on a golden spiral. Their size, distance and field of view are the input's. The compared views stay the
protocol's own.
Track `text` gives words: of protocol `core` the captions of its procedural objects (`procedural.captions`), looked at
from its ring of novel views; of `t3bench` the prompts in `data_dir`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from nerf2mesh.evaluate.metrics.text_metrics import TextCase
from nerf2mesh.evaluate.metrics.visibility import seen_pixels
from nerf2mesh.evaluate.protocols import core, datasets, objects
from nerf2mesh.evaluate.protocols.canonical import canonical_frame, ring_cameras
from nerf2mesh.evaluate.protocols.heldout import HeldOut, drawn_case
from nerf2mesh.evaluate.protocols.names import OWN, PICTURES, PROCEDURAL, PROMPTS
from nerf2mesh.evaluate.protocols.scoring import Case, picture, render_views
from nerf2mesh.types import Camera, View

HELD_OUT = "procedural-heldout"
TRACK_VIEWS = {"views2": 2, "views3": 3, "views4": 4, "views60": 60}
MOST_IN_RING = 4
_SPIRAL_LOW_DEG, _SPIRAL_HIGH_DEG = -30.0, 60.0


def object_names(
    protocol: str,
    wanted: Sequence[str] = (),
    *,
    track: str = "image",
    data_dir: str | None = None,
    dataset: str = "gso",
) -> list[str]:
    """The objects of a protocol, all or those wanted; nothing is rendered. ValueError names what is missing."""
    if (track == "text") != (protocol in PROMPTS) and (track, protocol) != ("text", "core"):
        raise ValueError(
            f"track: expected text with t3bench (and core), got track={track} protocol={protocol}; change one"
        )
    if protocol in PICTURES:
        return list(datasets.realfusion15(_given(data_dir, protocol), wanted or None))
    if protocol not in (*OWN, *PROMPTS):
        return [item.name for item in _reader(dataset)(_given(data_dir, protocol), wanted or None)]
    known = _known_names(protocol, track, data_dir)
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        shown = ", ".join(known) if len(known) <= 30 else f"{known[0]} to {known[-1]}"
        raise ValueError(f"objects: expected names out of {shown}, got {', '.join(unknown)}; correct them")
    return [name for name in known if not wanted or name in wanted]


def load_case(
    protocol: str,
    track: str,
    name: str,
    *,
    data_dir: str | None = None,
    dataset: str = "gso",
    look: str = "line",
    cache: Path | None = None,
) -> Case | TextCase:
    """One object made ready: pictures rendered or read, truth loaded. `look` is that of track sketch; `cache` a folder
    that keeps what takes long to render."""
    if track == "text":
        return _text_case(protocol, name, data_dir)
    shown = look if track == "sketch" else "photo"
    if protocol == "core":
        case = core.core_case(name, look=shown, data_dir=data_dir, cache=cache)
    elif protocol == "objects":
        case = objects.object_case(name, _given(data_dir, protocol), cache=cache)
        case = case if shown == "photo" else drawn_case(case, shown)
    elif protocol.startswith(HELD_OUT):
        case = _held_out(protocol, shown, cache).case(name)
    else:
        case = _published_case(protocol, name, data_dir, dataset)
        if track != "image" and (case.mesh is None or case.views):
            raise ValueError(f"track: expected image for {protocol}, got {track!r}; that protocol fixes what is given")
        case = drawn_case(case, look) if track == "sketch" else case
    return with_regions(with_views(case, TRACK_VIEWS[track]) if track in TRACK_VIEWS else case)


def with_regions(case: Case) -> Case:
    """The case with the parts of its compared views that the given ones show, where its true shape is known."""
    if case.mesh is None or case.regions is not None or case.camera.orthographic:
        return case
    given = [view.camera for view in case.views] or [case.camera]
    return replace(case, regions=seen_pixels(case.mesh, case.novel_cameras, given))


def with_views(case: Case, count: int) -> Case:
    """The case with `count` posed views given, the first being its input picture."""
    cameras = ring(case.camera, count) if count <= MOST_IN_RING else spiral(case.camera, count)
    others = render_views(case.known_mesh, cameras[1:], case.settings)
    pictures = [case.image, *picture(others)]
    if case.regions is not None:
        given = [cameras[k] for k in range(count)]
        case = replace(case, regions=seen_pixels(case.known_mesh, case.novel_cameras, given))
    return replace(case, views=tuple(View(image, cameras[k]) for k, image in enumerate(pictures)))


def ring(first: Camera, count: int) -> Camera:
    """The input's camera and its even turns about the vertical axis, [count]."""
    return Camera.stack([first.turned(360.0 / count * k) for k in range(count)])


def spiral(first: Camera, count: int) -> Camera:
    """The input's camera and count - 1 more, [count]: equal area by elevation, golden angle by azimuth."""
    k = torch.arange(count - 1)
    low, high = torch.deg2rad(torch.tensor([_SPIRAL_LOW_DEG, _SPIRAL_HIGH_DEG])).sin()
    elevation = torch.rad2deg(torch.asin(low + (high - low) * (k + 0.5) / (count - 1)))
    fov = torch.rad2deg(2 * torch.atan(0.5 * first.height_px / first.focal_px[1]))
    distance = first.position.norm()
    others = Camera.orbit(137.50776 * k, elevation, distance=distance, fov_deg=fov, width_px=first.width_px)
    return Camera.stack([first, *(others[i] for i in range(count - 1))])


def _known_names(protocol: str, track: str, data_dir: str | None) -> Sequence[str]:
    if protocol == "core":
        return PROCEDURAL if track == "text" else core.NAMES
    if protocol == "objects":
        return objects.evaluation_names(_given(data_dir, protocol))
    if protocol in PROMPTS:
        return list(datasets.t3bench_prompts(_given(data_dir, protocol)))
    return _held_out(protocol, "photo", None).names


def _held_out(protocol: str, look: str, cache: Path | None) -> HeldOut:
    families = "heldout" if protocol == HELD_OUT + "-families" else "training"
    return HeldOut(families=families, look=look, cache=cache)


def _text_case(protocol: str, name: str, data_dir: str | None) -> TextCase:
    if protocol in PROMPTS:
        from nerf2mesh.evaluate.protocols.t3bench import t3bench_case

        return t3bench_case(name, datasets.t3bench_prompts(_given(data_dir, protocol)))
    from nerf2mesh.evaluate.protocols.procedural_objects import scene_mesh

    prompts, mesh = tuple(core.prompt(other) for other in PROCEDURAL), canonical_frame(scene_mesh(core.scene(name)))
    return TextCase(name, core.prompt(name), prompts, ring_cameras(), mesh=mesh)


def _published_case(protocol: str, name: str, data_dir: str | None, dataset: str) -> Case:
    from nerf2mesh.evaluate.protocols.view_protocols import cases, magic123_cases, view_protocols

    if protocol in PICTURES:
        return magic123_cases(datasets.realfusion15(_given(data_dir, protocol), [name]))[0]
    (item,) = _reader(dataset)(_given(data_dir, protocol), [name])
    return cases(view_protocols()[protocol], [(name, item.load())])[0]


def _reader(dataset: str) -> Callable[..., list[datasets.MeshItem]]:
    return {
        "gso": datasets.google_scanned_objects,
        "omniobject3d": datasets.omniobject3d,
        "objaverse": datasets.objaverse,
    }[dataset]


def _given(data_dir: str | None, protocol: str) -> str:
    if data_dir is None:
        raise ValueError(
            f"data_dir: expected the folder of the data set of protocol {protocol}, got none; set data_dir=FOLDER"
        )
    return data_dir
