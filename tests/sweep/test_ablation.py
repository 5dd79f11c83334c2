"""Protocol ablation: one part changed at a time, equal time for losses, paired with the base, one figure."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nerf2mesh.config import load_config
from nerf2mesh.distill.config import LOSSES
from nerf2mesh.evaluate.protocols import objects
from nerf2mesh.evaluate.tables.ablation_table import figure
from nerf2mesh.evaluate.tables.results import Record
from nerf2mesh.sweep import bench
from nerf2mesh.sweep.ablation import BASE, step_cost, variants
from nerf2mesh.sweep.config import FACTORS, BenchConfig
from tests.sweep.standin import Here, polls_often  # noqa: F401


def config(**settings: object) -> BenchConfig:
    return BenchConfig(**{"protocol": "ablation", "presets": ("preview",), "seeds": (0,)} | settings)


def test_every_variant_changes_one_part_of_a_valid_configuration() -> None:
    base = load_config(["preset=preview"])
    listed = dict(bench.methods(config()))
    assert listed[BASE] == ["preset=preview"] and len(listed) == 1 + len(variants((), 120))
    assert {variant.factor for variant in variants((), 120)} == set(FACTORS)
    rooms = {
        "prior": {"distill", "lora", "optimize"}, "loss": {"distill", "optimize"}, "views": {"distill"},
        "noise": {"distill"}, "adapters": {"lora"}, "levels": {"field"}, "extraction": {"mesh"},
    }  # fmt: skip
    for variant in (v for v in variants((), 120) if v.factor != "loss" or v.name == "mv_sdi"):
        changed = load_config(["preset=preview", *variant.overrides])
        differing = {room for room in vars(base) if getattr(base, room) != getattr(changed, room)}
        assert differing and differing <= rooms[variant.factor], variant


def test_sixteen_objects_unless_others_are_asked_for() -> None:
    every = bench.case_names(config(n_objects=40))
    assert bench.case_names(config()) == every[:16] and len(every) == 40
    assert bench.case_names(config(objects=tuple(every[:20]))) == every[:20]


def test_losses_get_equal_time_and_none_is_missing() -> None:
    found = {v.name: dict(o.split("=") for o in v.overrides) for v in variants(("loss",), 240)}
    assert set(found) == {*LOSSES, "mv_sdi"} - {"sds", "dds"}
    for name in set(found) - {"mv_sdi"}:
        assert int(found[name]["optimize.steps"]) * step_cost(name) == pytest.approx(240, abs=step_cost(name))
    assert step_cost("sds") == step_cost("sjc") == 1.0 < step_cost("asd") < step_cost("csd") < step_cost("sdi")


def test_settings_that_do_not_belong_are_refused() -> None:
    for settings, said in (
        ({"presets": ("tiny", "preview")}, "one preset"),
        ({"vary": {"distill": {"weight": [1, 2]}}}, "nothing in vary"),
        ({"factors": ("color",)}, "factors"),
        ({"protocol": "core", "factors": ("loss",)}, "factors: expected none"),
    ):
        with pytest.raises(ValueError, match=said):
            config(**settings)


@pytest.mark.slow
def test_from_the_configuration_to_table_and_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Balls of other radii stand for the variants: IoU is the cube of the radius."""
    from nerf2mesh.mesh import TriangleMesh
    from nerf2mesh.mesh.shapes import icosphere
    from tests.objects.files import pack, two_colored_ball, write_manifest

    names = [f"heldout{k}.npz" for k in range(2)]
    for name in names:
        pack(tmp_path / name, two_colored_ball(2))
    write_manifest(tmp_path, [{"file": name, "split": "heldout", "kind": "ball"} for name in names])
    radius = {"distill.weight=0": 0.6, "distill.n_views=6": 0.8}

    def fit(image, *, overrides, output_dir):
        ball = icosphere(3, next((r for key, r in radius.items() if key in overrides), 0.7))

        class Result:
            mesh, render = TriangleMesh(ball.vertices, ball.faces), None

        return Result

    monkeypatch.setattr("nerf2mesh.api.fit", fit)
    monkeypatch.setattr(bench, "make_launcher", Here)
    monkeypatch.setattr(objects, "SETTINGS", replace(objects.SETTINGS, surface_samples=200, iou_resolution=32))
    monkeypatch.setattr(objects, "VIEW_PX", 32)
    out = tmp_path / "out"
    bench.run_bench(
        config(
            factors=("prior", "views"),
            baselines=False,
            data_dir=str(tmp_path),
            split="heldout",
            per_split=2,
            output_dir=str(out),
        )
    )
    table = (out / "table.md").read_text()
    assert "2 of 2 objects are done by every variant" in table
    row = next(line for line in table.splitlines() if line.startswith("| views") and "6 a step" in line)
    gain = float(re.findall(r"\| ([+-]\d\.\d{4})", row)[0])
    assert gain == pytest.approx((0.8**3 - 0.7**3) / 0.9**3, abs=0.02)
    row = next(line for line in table.splitlines() if line.startswith("| prior") and "none" in line)
    assert float(re.findall(r"\| ([+-]\d\.\d{4})", row)[0]) < 0
    drawn = ElementTree.fromstring((out / "ablation.svg").read_text())
    assert len(drawn.findall(".//{*}circle")) == 2 * 5 and "<svg" in (out / "page.html").read_text()


def test_gains_lie_to_the_right_of_zero_in_the_figure() -> None:
    values = {BASE: 0.5, "views: 6 a step": 0.6, "levels: 4": 0.3}
    records = [
        Record(method, f"o{k}", 0, {"volume_iou": value + 0.01 * k, "psnr": 20.0 + value})
        for method, value in values.items()
        for k in range(6)
    ]
    drawn = ElementTree.fromstring(figure(records, BASE, list(values)[1:]))
    zero = float(drawn.findall(".//{*}line")[0].get("x1", "0"))
    better, worse = (float(circle.get("cx", "0")) for circle in drawn.findall(".//{*}circle")[:2])
    assert worse < zero < better and (better - zero) * 2 == pytest.approx(zero - worse, rel=0.02)
