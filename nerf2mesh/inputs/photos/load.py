"""From an InputConfig to the Observations of several photographs."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.foreground import Foreground, find_foreground
from nerf2mesh.inputs.photos.axes import WorldChange, object_rotation, up_direction
from nerf2mesh.inputs.photos.box import check_outside, object_box, rough_place
from nerf2mesh.inputs.photos.capture import Capture, Lens, Shot
from nerf2mesh.inputs.photos.colmap import read_colmap
from nerf2mesh.inputs.photos.dtu import read_dtu
from nerf2mesh.inputs.photos.files import find_source, read_unposed
from nerf2mesh.inputs.photos.motion import find_poses
from nerf2mesh.inputs.photos.notes import photo_notes
from nerf2mesh.inputs.photos.reframe import common_side, frame_tangent, framed_view
from nerf2mesh.inputs.photos.told import load_told
from nerf2mesh.inputs.photos.transforms import read_transforms
from nerf2mesh.inputs.picture import WORKING_SIDE_PX, Picture, read_picture
from nerf2mesh.types import Observations


@dataclass(frozen=True)
class CutOut:
    """A photograph with its mask, and the lens at the size of its pixels."""

    shot: Shot
    lens: Lens
    picture: Picture
    found: Foreground

    @property
    def mask(self) -> np.ndarray:
        """[h, w], True on the object."""
        return self.found.rgba[..., 3] > 0.5


def load_photos(config: InputConfig) -> Observations:
    """The photographs as square views that look at the origin, the object's longest side 1.6 world units.

    The first photograph is the reference, at azimuth `input.azimuth_deg` unless `keep_front`. Notes for the report:
    path, sha256 (of all files), format, file_size_px, foreground, mask_share, picture and mask (sheets of the first
    photographs), warnings, and `photos`: layout, number, how the box was found, object_from_world [4, 4], and what
    structure from motion says (registered, registered_share, matches, points, reprojection_error_px).

    Raises:
        ValueError: in one line what is wrong with the photographs or their cameras and what to do.
    """
    if config.azimuths_deg:
        return load_told(config)
    capture = read_capture(config)
    cuts = [_cut_out(shot, config) for shot in capture.shots]
    change, half, method = placed(capture, cuts, config)
    poses = [change.pose(cut.shot.pose) for cut in cuts]
    tangents = [frame_tangent(pose, half) for pose in poses]
    lenses = tuple(replace(cut.shot, lens=cut.lens) for cut in cuts)
    side = common_side(lenses, tangents, config.size_px)
    views = tuple(
        framed_view(cut.found.rgba, cut.lens, cut.shot, change, tangent, side, config.domain)
        for cut, tangent in zip(cuts, tangents)
    )
    facts = {
        "layout": capture.layout,
        "photographs": len(views),
        "box": method,
        "object_from_world": change.matrix(),
        **capture.facts,
    }
    pictures, found = [cut.picture for cut in cuts], [cut.found for cut in cuts]
    warnings = [*capture.warnings, *_mask_warnings(found)]
    notes = photo_notes(config, pictures, found, facts) | {"warnings": warnings}
    return Observations(views, config.prompt, notes, config.negative_prompt)


def read_capture(config: InputConfig) -> Capture:
    """The photographs with their poses, read or found by structure from motion.

    Raises:
        ValueError: as in `load_photos`.
    """
    source = find_source(config)
    readers = {"transforms": read_transforms, "colmap": read_colmap, "dtu": read_dtu}
    if source.layout in readers:
        capture = readers[source.layout](source.path)
        if len(capture.shots) < 2:
            raise ValueError(
                f"input.image: expected at least two photographs in {source.path}, got {len(capture.shots)}; add "
                "more, or say input=picture for one picture"
            )
        return capture
    pictures = read_unposed(source, config.photos.max_photos)
    masks = None
    if config.photos.turntable:
        masks = [
            (find_foreground(item.picture, config.without_questions()).rgba[..., 3] > 0.5).astype(np.uint8) * 255
            for item in pictures
        ]
    return find_poses(pictures, config.photos, masks)


def placed(capture: Capture, cuts: list[CutOut], config: InputConfig) -> tuple[WorldChange, np.ndarray, str]:
    """The change of world that puts the object around the origin, its half sides [3] there, and how it was found."""
    asked = config.photos
    masks = None if all(cut.found.method == "none" for cut in cuts) else [cut.mask for cut in cuts]
    middle = rough_place(capture, masks)
    azimuth = None if asked.keep_front else config.azimuth_deg
    up = up_direction(capture, asked.up)
    for _ in range(2):  # the second time around the box's own middle
        level = WorldChange(object_rotation(up, capture.shots[0], middle, azimuth), middle, 1.0)
        box = object_box(capture, masks, level, asked.box)
        change, half = box.fitted(level)
        middle = change.middle
    check_outside(capture.shots, change, half)
    return change, half, box.method


def _cut_out(shot: Shot, config: InputConfig) -> CutOut:
    picture, lens = _fitting(shot)
    cut = CutOut(shot, lens, picture, _found(shot, picture, config))
    if not cut.mask.any():
        raise ValueError(
            f"input.image: expected an object with pixels over half opaque in {shot.path}, got none in the mask; "
            "leave this photograph out or mask it by hand"
        )
    return cut


def _found(shot: Shot, picture: Picture, config: InputConfig) -> Foreground:
    if shot.mask is None:
        return find_foreground(picture, config.without_questions())
    height, width = picture.rgba.shape[:2]
    try:
        with Image.open(shot.mask) as opened:
            alpha = np.asarray(opened.convert("L").resize((width, height), Image.Resampling.BOX))
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f"input.image: expected a picture as mask, got {shot.mask}; save it as PNG") from error
    rgba = np.concatenate([picture.rgba[..., :3], alpha[..., None]], axis=-1)
    masked = replace(picture, rgba=rgba, has_alpha=True, path=str(shot.mask))
    return find_foreground(masked, replace(config, foreground="alpha"))


def _fitting(shot: Shot) -> tuple[Picture, Lens]:
    """The picture at its working size and the lens for that size.

    Poses are of the file's own rows and columns, unless only the upright picture has the size that the lens was
    measured for.

    Raises:
        ValueError: picture and lens differ in aspect.
    """
    lens = shot.lens
    if shot.picture is not None:
        height, width = shot.picture.rgba.shape[:2]
        return shot.picture, lens.scaled(width / lens.width_px, height / lens.height_px)
    picture = read_picture(shot.path, upright=False)
    if not _same_aspect(picture.file_size_px, lens):
        turned = read_picture(shot.path)
        reduced = turned.rgba.shape[1], turned.rgba.shape[0]
        if not _same_aspect(reduced, lens):
            width, height = picture.file_size_px
            raise ValueError(
                f"input.image: expected {lens.width_px} x {lens.height_px} px or a multiple in {shot.path}, "
                f"got {width} x {height} px; give the pictures that the cameras were found for"
            )
        return turned, lens.scaled(reduced[0] / lens.width_px, reduced[1] / lens.height_px)
    factor = math.ceil(max(picture.file_size_px) / WORKING_SIDE_PX)
    width, height = picture.file_size_px
    return picture, lens.scaled(width / lens.width_px / factor, height / lens.height_px / factor)


def _same_aspect(size: tuple[int, int], lens: Lens) -> bool:
    across, down = size[0] / lens.width_px, size[1] / lens.height_px
    return abs(across / down - 1.0) < 0.02


def _mask_warnings(found: list[Foreground]) -> list[str]:
    """Each thing once, with the number of photographs that it is true of."""
    said = Counter(warning for one in found for warning in one.warnings)
    return [f"{text} ({count} of {len(found)} photographs)" for text, count in said.items()]
