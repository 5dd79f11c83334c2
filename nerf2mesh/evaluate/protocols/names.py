"""The names by which protocols and tracks are asked for, light enough for a command line to read."""

from __future__ import annotations

from collections.abc import Iterable

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

OWN = ("core", "procedural-heldout", "procedural-heldout-families")
PUBLISHED_VIEWS = (
    *("syncdreamer-gso", "zero123-gso", "one-2-3-45", "instantmesh", "triposr", "zeroshape"),
    *("lrm-8view", "lrm-4view"),
)
PICTURES = ("magic123",)
PROMPTS = ("t3bench",)
PROTOCOLS = (*OWN, *PUBLISHED_VIEWS, *PICTURES, *PROMPTS)

TRACKS = ("image", "sketch", "views4", "views60", "text")
"""image: what the protocol itself gives (of ours, one picture). sketch: a drawing instead of that picture. views4,
views60: so many posed views of the object. text: words only (protocols core and t3bench).
"""
LOOKS = ("line", "cel", "pencil", "blueprint")
"""Of a sketch; see `procedural.drawing`."""


def results_name(protocol: str, track: str, look: str = "line") -> str:
    """The name under which results are kept: figures of one name are comparable."""
    return protocol if track == "image" else f"{protocol}-sketch-{look}" if track == "sketch" else f"{protocol}-{track}"


def groups(results: str, objects: Iterable[str]) -> dict[str, list[str]]:
    """Kinds of objects whose means are shown beside the mean of all, for a `results_name`; empty with one kind only."""
    objects = list(objects)
    if results.split("-")[0] != "core":
        return {}
    new = PROCEDURAL[len(KNOWN_FAMILIES) :]
    found = {
        "real": [name for name in objects if name in REAL_OBJECTS],
        "procedural": [name for name in objects if name in PROCEDURAL],
        "procedural, new families": [name for name in objects if name in new],
    }
    return {group: names for group, names in found.items() if 0 < len(names) < len(objects)}
