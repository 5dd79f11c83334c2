"""A whole run with field.material=lambert: what is written, and what a reader of the GLB gets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nerf2mesh import fit
from nerf2mesh.config import load_config
from nerf2mesh.render.shading import Light, ray_normals, relit
from nerf2mesh.types import Camera, Observations
from tests.optimize.scene import RADIUS, observations
from tests.optimize.test_finish import GOLD, TOLERANCE, ball
from tests.tiny_run import TINY

LAMBERT = (*TINY, "report=quiet", "field.material=lambert")
LIT = (*LAMBERT, "field.delight=along", "optimize.light_every=2", "optimize.light_from=0.25")


def test_a_lambert_run_writes_albedo_and_its_light(tmp_path: Path) -> None:
    result = fit(observations=observations(), overrides=LIT, output_dir=tmp_path)
    assert result.light is not None
    facts = json.loads((tmp_path / "mesh.json").read_text())
    assert facts["light"] == result.light.to_dict()
    camera = Camera.orbit(0.0, 10.0, width_px=16)
    plain, lit = result.render(camera), result.lit(camera)
    seen = plain.opacity > 0.5
    irradiance = result.light.irradiance(ray_normals(result.field, camera.rays(), plain))[seen]
    straight = (plain.rgb / plain.opacity[..., None])[seen]
    assert torch.allclose((lit.rgb / lit.opacity[..., None])[seen], relit(straight, irradiance), atol=1e-4)
    data = (tmp_path / "mesh.glb").read_bytes()
    header = json.loads(data[20 : 20 + int(np.frombuffer(data[12:16], "<u4")[0])])
    (material,) = header["materials"]
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0.0
    assert material["pbrMetallicRoughness"].get("roughnessFactor", 1.0) == 1.0
    assert "KHR_materials_unlit" not in header.get("extensionsUsed", [])


def test_prior_and_field_see_albedo_where_the_light_is_taken_out_before() -> None:
    """Half of a grey ball's picture lies in the shade: the views that the run goes on with are evener."""
    lit = shaded_ball()
    result = fit(observations=lit, overrides=LAMBERT)
    assert result.light is not None and result.light.kind == "directional"
    before, after = (view.image[view.image[..., 3] > 0.99][:, :3] for view in (*lit.views, *result.observations.views))
    assert float(after.std() / after.mean()) < 0.5 * float(before.std() / before.mean())
    emissive = fit(observations=lit, overrides=[*TINY, "report=quiet"])
    assert torch.equal(emissive.observations.views[0].image, lit.views[0].image)


def shaded_ball() -> Observations:
    """A grey ball under a lamp from the upper left, one color all over."""
    (view,) = observations().views
    rays = view.camera.rays()
    along = -(rays.origins * rays.directions).sum(-1)
    nearest = (rays.origins + along[..., None] * rays.directions).square().sum(-1)
    t = along - (RADIUS**2 - nearest).clamp_min(0.0).sqrt()
    normals = torch.nn.functional.normalize(rays.origins + t[..., None] * rays.directions, dim=-1)
    light = Light("directional", torch.tensor([0.5, -2.0, 2.0]), 0.6)
    colors = relit(torch.full_like(normals, 0.6), light.irradiance(normals))
    return Observations((replace(view, image=torch.cat([colors, view.image[..., 3:]], dim=-1)),))


def test_roughness_metal_occlusion_and_a_turntable_in_surroundings(tmp_path: Path) -> None:
    asked = ["mesh.occlusion=true", "mesh.roughness=0.4", "mesh.metallic=1", "report.turntable_light=studio"]
    result = fit(observations=observations(), overrides=[*TINY, "report=quiet", *asked], output_dir=tmp_path)
    assert result.mesh is not None and result.mesh.orm is not None
    assert (result.mesh.orm[..., 1] == 102).all() and (result.mesh.orm[..., 2] == 255).all()
    data = (tmp_path / "mesh.glb").read_bytes()
    header = json.loads(data[20 : 20 + int(np.frombuffer(data[12:16], "<u4")[0])])
    assert {"occlusionTexture", "pbrMetallicRoughness"} <= set(header["materials"][0])
    assert list(tmp_path.glob("turntable.*"))


@pytest.mark.slow
def test_a_pbr_run_of_a_gold_ball_is_metal_in_the_field_and_in_the_file(tmp_path: Path) -> None:
    given, _ = ball(0.3, 1.0, GOLD)
    asked = ["report=quiet", "field.material=pbr", "optimize.steps=30"]
    result = fit(observations=given, overrides=[*TINY, *asked], output_dir=tmp_path)
    (finish,) = json.loads((tmp_path / "mesh.json").read_text())["finishes"]
    assert finish["metallic"] == 1.0 and finish["roughness"] == pytest.approx(0.3, abs=TOLERANCE)
    shown = result.render(given.views[0].camera)
    front = shown.opacity > 0.5
    roughness, metallic = (shown.extra["surface"] / shown.opacity[..., None])[front].mean(dim=0).tolist()
    assert roughness < 0.45 and metallic > 0.1  # after a few steps from the default, 0.6 and 0
    data = (tmp_path / "mesh.glb").read_bytes()
    header = json.loads(data[20 : 20 + int(np.frombuffer(data[12:16], "<u4")[0])])
    assert "metallicRoughnessTexture" in header["materials"][0]["pbrMetallicRoughness"]


@pytest.mark.parametrize("asked", ["mesh.roughness=0.3", "mesh.metallic=1"])
def test_a_finish_for_all_is_refused_where_finishes_are_found(asked: str) -> None:
    with pytest.raises(
        ValueError, match=rf"^{asked.partition('=')[0]}: expected nothing said beside field\.material=pbr"
    ):
        load_config(["field.material=pbr", asked])


def test_a_prompt_alone_has_no_light_to_find() -> None:
    with pytest.raises(ValueError, match=r"^field\.material=lambert: expected a picture"):
        fit(overrides=[*TINY, "input=text", "input.prompt=a cup", "field.material=lambert"])
