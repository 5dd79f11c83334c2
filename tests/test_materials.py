"""A whole run with field.material=lambert: what is written, and what a reader of the GLB gets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nerf2mesh import fit
from nerf2mesh.render.shading import ray_normals, relit
from nerf2mesh.types import Camera
from tests.optimize.scene import observations
from tests.tiny_run import TINY

LIT = (*TINY, "report=quiet", "field.material=lambert", "optimize.light_every=2", "optimize.light_from=0.25")


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


def test_a_prompt_alone_has_no_light_to_find() -> None:
    with pytest.raises(ValueError, match=r"^field\.material=lambert: expected a picture"):
        fit(overrides=[*TINY, "input=text", "input.prompt=a cup", "field.material=lambert"])
