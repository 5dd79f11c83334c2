"""A few photographs, too few for structure from motion, enough for the loop: their azimuths are told by the user, or
found by the prior (`run.placing`)."""

from __future__ import annotations

from dataclasses import replace

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.figures import figure_views
from nerf2mesh.inputs.foreground import find_foreground
from nerf2mesh.inputs.photos.files import find_source, read_unposed
from nerf2mesh.inputs.photos.notes import photo_notes
from nerf2mesh.inputs.viewpoint.told import AUTO, guessed_elevations, usual_fov
from nerf2mesh.types import Observations

FEW = 5
"""At most so many photographs are placed by the prior."""


def awaits_azimuths(config: InputConfig) -> bool:
    """Whether the input is photographs whose azimuths the prior is to find: 2 to FEW pictures without poses, none told.

    ValueError where `photos.poses=prior` asks for that with another input.
    """
    if config.kind != "photos" or config.azimuths_deg or config.photos.poses == "motion":
        return False
    source = find_source(config)
    count = min(len(source.files), config.photos.max_photos)
    if source.layout == "pictures" and 2 <= count <= FEW:
        return True
    if config.photos.poses == "prior":
        got = f"{count} photographs" if source.layout == "pictures" else f"{source.path} ({source.layout})"
        raise ValueError(
            f"input.photos.poses: expected 2 to {FEW} photographs for prior, got {got}; give as many, or leave it out"
        )
    return False


def load_unplaced(config: InputConfig) -> Observations:
    """The photographs of an input that `awaits_azimuths`, all from azimuth 0."""
    count = min(len(find_source(config).files), config.photos.max_photos)
    return load_told(replace(config, azimuths_deg=[0.0] * count))


def load_told(config: InputConfig) -> Observations:
    """Views of `Camera.orbit` cameras at `input.azimuths_deg` and `input.elevations_deg`, all at `input.distance`, the
    object brought to one height. Notes as of `load_photos`.

    Raises:
        ValueError: another number of pictures than of angles, pictures with poses, or a bad picture.
    """
    source = find_source(config)
    if source.layout not in ("pictures", "video"):
        raise ValueError(
            f"input.azimuths_deg: expected none for {source.path}, whose poses are known, got {config.azimuths_deg}; "
            "leave it out, or name the pictures' folder"
        )
    angles = config.azimuths_deg
    pictures = [item.picture for item in read_unposed(source, config.photos.max_photos)]
    for name, told in (("azimuths", angles), ("elevations", config.elevations_deg or angles)):
        if len(told) != len(pictures):
            raise ValueError(
                f"input.{name}_deg: expected angles for {len(pictures)} photographs, got {len(told)} {name}; "
                "give as many"
            )
    found = [find_foreground(picture, config.without_questions()) for picture in pictures]
    cutouts = [one.rgba for one in found]
    elevations = guessed_elevations(config, cutouts)
    views = figure_views(cutouts, angles, elevations, usual_fov(config), orthographic=False)
    facts: dict[str, object] = {"layout": "told", "photographs": len(views), "azimuths_deg": list(angles)}
    if config.elevation_deg == AUTO or config.elevations_deg:
        facts["elevations_deg"] = [round(angle, 1) for angle in elevations]
    warnings = dict.fromkeys(warning for one in found for warning in one.warnings)
    notes = photo_notes(config, pictures, found, facts) | {"warnings": [*warnings]}
    return Observations(views, config.prompt, notes, config.negative_prompt)
