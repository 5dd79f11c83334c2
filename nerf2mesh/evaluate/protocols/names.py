"""The names by which protocols and tracks are asked for, light enough for a command line to read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

REAL_OBJECTS = ("spot", "bob", "avocado")
"""Of protocol `core`: meshes of others, read from a folder; see `reference_meshes`."""
KNOWN_FAMILIES = (
    *("rubble", "rubble", "animal", "animal", "bird", "bird", "figure", "figure", "vessel", "vessel"),
    *("furniture", "vehicle", "fruit", "plate"),
)
"""Of the procedural objects of protocol `core`, proc-00 and on: every family that priors are trained on."""
NEW_FAMILIES = ("lamp", "lamp", "house", "house", "guitar", "guitar")
"""The rest of them: families that no prior is trained on."""
PROCEDURAL = tuple(f"proc-{k:02d}" for k in range(len(KNOWN_FAMILIES + NEW_FAMILIES)))

OWN = ("core", "objects", "procedural-heldout", "procedural-heldout-families")
TURNED = ("core", "objects")
"""Protocols whose objects can be given from several sides (`yaws`)."""
SPLITS = ("heldout", "outside", "both")
"""Of protocol `objects`: of the sources trained on, of other sources."""
PUBLISHED_VIEWS = (
    *("syncdreamer-gso", "zero123-gso", "one-2-3-45", "instantmesh", "triposr", "zeroshape"),
    *("lrm-8view", "lrm-4view"),
)
PICTURES = ("magic123",)
PROMPTS = ("t3bench",)
STUDIES = ("ablation",)
"""Variants of one method on the objects of a protocol of ours."""
PROTOCOLS = (*OWN, *PUBLISHED_VIEWS, *PICTURES, *PROMPTS, *STUDIES)

TRACKS = ("image", "sketch", "views2", "views3", "views4", "views60", "text")
"""image: what the protocol itself gives (of ours, one picture). sketch: a drawing instead of that picture. views2 to
views4, views60: so many posed views of the object. text: words only (protocols core and t3bench).
"""
LOOKS = ("line", "contour", "outline", "cel", "pencil", "blueprint")
"""Of a sketch; see `procedural.drawing`. line, contour, outline: the three levels of the sketch record."""


def results_name(protocol: str, track: str, look: str = "line") -> str:
    """The name under which results are kept: figures of one name are comparable."""
    return protocol if track == "image" else f"{protocol}-sketch-{look}" if track == "sketch" else f"{protocol}-{track}"


def with_yaws(names: Iterable[str], count: int) -> list[str]:
    """Names of `count` cases of each object, evenly turned: all objects from the front first, then the next yaw."""
    names = list(names)
    yaws = [round(360 * k / count) for k in range(count)]
    return [f"{name}@{yaw:03d}" if yaw else name for yaw in yaws for name in names]


def split_yaw(case: str) -> tuple[str, int]:
    """The object of a case and the azimuth, in degrees, of the side that it is given from."""
    found = re.fullmatch(r"(.+)@(\d{3})", case)
    return (found[1], int(found[2])) if found else (case, 0)


def groups(
    results: str, objects: Iterable[str], about: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, list[str]]:
    """Kinds of objects whose means are shown beside the mean of all, for a `results_name`; empty with one kind only.

    `about` has what is known of each object: of protocol `objects`, its split and kind.
    """
    objects, about = list(objects), about or {}
    found: dict[str, list[str]] = {}
    if results.split("-")[0] == "core":
        new = PROCEDURAL[len(KNOWN_FAMILIES) :]
        chosen = {"real": REAL_OBJECTS, "procedural": PROCEDURAL, "procedural, new families": new}
        found = {kind: [name for name in objects if split_yaw(name)[0] in names] for kind, names in chosen.items()}
    for key in ("split", "kind") if results.split("-")[0] == "objects" else ():
        for value in sorted({about[name][key] for name in objects if about.get(name, {}).get(key)}):
            found[f"{key} {value}"] = [name for name in objects if about.get(name, {}).get(key) == value]
    return {group: names for group, names in found.items() if 0 < len(names) < len(objects)}
