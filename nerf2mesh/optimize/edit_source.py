"""The object of another run, frozen: what delta denoising edits."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from nerf2mesh.optimize.state import LAST, LoopState, check_object
from nerf2mesh.render import VolumeRenderer
from nerf2mesh.utils.checkpoint import read_checkpoint, readable


def load_source(path: str, state: LoopState, renderer: VolumeRenderer) -> VolumeRenderer:
    """A frozen renderer of the object in another run's checkpoint (of the same field and occupancy settings).

    Raises:
        ValueError: the file is missing, foreign, or of other settings.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"distill.source: expected {LAST} of the run to edit, got no file {path}; set its path")
    field, occupancy = copy.deepcopy(state.field), copy.deepcopy(state.occupancy)
    values = read_checkpoint(file, follow=True)
    with readable(file):
        check_object(values, field, occupancy)
        field.load_state_dict(values["field"])
        occupancy.load_state_dict(values["occupancy"])
    field.requires_grad_(False).train()  # the arithmetic of the loop: equal fields are to look equal
    return VolumeRenderer(renderer.config, field, occupancy)


def start_from(source: VolumeRenderer, state: LoopState) -> None:
    """The run's field begins as the source's, with everything to be looked at: an edit may grow into empty space."""
    assert isinstance(source.field, torch.nn.Module), "made by `load_source`"
    state.field.load_state_dict(source.field.state_dict())
    state.occupancy.fill()
