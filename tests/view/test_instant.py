"""What a watched run shows before its first step, and that it stays the same run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import nerf2mesh
from nerf2mesh.render import VolumeRenderer
from nerf2mesh.run.guidance import load_guidance
from nerf2mesh.run.instant import instant_fit
from nerf2mesh.view.copies import FieldCopy, kept_states
from tests.tiny_run import PLAIN


def test_the_instant_field_has_the_pictures_silhouette() -> None:
    config = nerf2mesh.load_config([*PLAIN, f"input.image={nerf2mesh.demo_picture()}"])
    observations = nerf2mesh.load_observations(config.input)
    guidance = load_guidance(config, observations, "cpu")
    before = torch.get_rng_state()
    field, occupancy = instant_fit(config, observations, guidance, "cpu")
    assert torch.equal(before, torch.get_rng_state())
    view = observations.views[0]
    opacity = VolumeRenderer(config.renderer, field, occupancy).render(view.camera).opacity
    ours, theirs = opacity > 0.5, view.image[..., 3] > 0.5
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.8


@pytest.mark.slow
def test_a_watched_run_keeps_the_instant_field_and_is_the_same_run(tmp_path: Path) -> None:
    pytest.importorskip("viser")
    picture, watched = nerf2mesh.demo_picture(), ("report.viewer=true", "report.viewer_port=0")
    seen = nerf2mesh.fit(picture, overrides=[*PLAIN, *watched], output_dir=tmp_path / "run")
    unseen = nerf2mesh.fit(picture, overrides=PLAIN)
    for ours, theirs in zip(seen.field.parameters(), unseen.field.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    states = kept_states(tmp_path / "run")
    assert [path.stem for path in states] == ["field_000000", "field_000002", "field_000004", "last"]
    copy = FieldCopy(seen.config)
    copy.read(states[0])
    assert copy.step == 0


def test_the_instant_field_can_be_left_out(tmp_path: Path) -> None:
    pytest.importorskip("viser")
    off = ("report.viewer=true", "report.viewer_port=0", "report.viewer_instant=false")
    nerf2mesh.fit(nerf2mesh.demo_picture(), overrides=[*PLAIN, *off], output_dir=tmp_path / "run")
    assert kept_states(tmp_path / "run")[0].stem == "field_000002"
