"""A few photographs whose azimuths the user tells: too few for structure from motion, enough for the loop."""

from __future__ import annotations

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.figures import figure_views
from nerf2mesh.inputs.foreground import find_foreground
from nerf2mesh.inputs.photos.files import find_source, read_unposed
from nerf2mesh.inputs.photos.notes import photo_notes
from nerf2mesh.types import Observations


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
    elevations = config.elevations_deg or [config.elevation_deg] * len(angles)
    pictures = [item.picture for item in read_unposed(source, config.photos.max_photos)]
    if not len(pictures) == len(angles) == len(elevations):
        raise ValueError(
            f"input.azimuths_deg: expected angles for {len(pictures)} photographs, got {len(angles)} azimuths "
            f"and {len(elevations)} elevations; give as many"
        )
    found = [find_foreground(picture, config.without_questions()) for picture in pictures]
    views = figure_views([one.rgba for one in found], angles, elevations, config, orthographic=False)
    facts: dict[str, object] = {"layout": "told", "photographs": len(views), "azimuths_deg": list(angles)}
    warnings = dict.fromkeys(warning for one in found for warning in one.warnings)
    notes = photo_notes(config, pictures, found, facts) | {"warnings": [*warnings]}
    return Observations(views, config.prompt, notes, config.negative_prompt)
