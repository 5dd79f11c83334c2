"""Energy and cost: counters that are files, a clock of our own; the parts add up to the whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nerf2mesh.report import EnergyMeter, StageClock, write_report
from nerf2mesh.report.energy import BETWEEN, Ledger, cost_metrics
from nerf2mesh.report.run_files import read_cost

RANGE_UJ = 1_000_000_000


class Machine:
    """Two processor packages and a clock; one package also counts its cores apart."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.time_s = folder, 100.0
        for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
            (folder / name).mkdir(parents=True)
            (folder / name / "max_energy_range_uj").write_text(str(RANGE_UJ))
            (folder / name / "energy_uj").write_text("999000000")

    def spend(self, seconds: float, joules: float) -> None:
        self.time_s += seconds
        for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
            file = self.folder / name / "energy_uj"
            file.write_text(str((int(file.read_text()) + int(joules * 1e6 / 2)) % RANGE_UJ))

    def meter(self) -> EnergyMeter:
        return EnergyMeter(65.0, self.folder, lambda: self.time_s)


def test_counters_of_the_packages_are_read_and_wrap_round(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    meter = machine.meter()
    before = meter.read()
    machine.spend(10.0, 300.0)  # 150 J a package, over the counter's end at 1000 J
    assert meter.joules(before, meter.read()) == pytest.approx(300.0)
    assert meter.is_whole and meter.method.startswith("measured: RAPL") and "65 W" not in meter.method


def test_without_counters_it_is_time_times_a_stated_power_and_says_so(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "other")
    meter = EnergyMeter(50.0, tmp_path / "none", lambda: machine.time_s)
    before = meter.read()
    machine.spend(72.0, 1.0)
    assert meter.joules(before, meter.read()) == pytest.approx(3600.0)
    assert not meter.is_whole and meter.method.startswith("estimated: time x 50 W (report.power_w, assumed)")
    (tmp_path / "other/intel-rapl:1/energy_uj").write_text("no number")
    (tmp_path / "other/intel-rapl:0/energy_uj").unlink()
    assert not machine.meter().is_whole


def test_stages_and_what_lies_between_add_up_to_the_whole(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    clock = StageClock(meter=machine.meter())
    machine.spend(1.0, 10.0)
    with clock.stage("optimize"):
        machine.spend(20.0, 400.0)
        with clock.stage("inner"):
            machine.spend(4.0, 40.0)
    with clock.stage("mesh"):
        machine.spend(5.0, 50.0)
    with clock.stage("mesh"):
        machine.spend(6.0, 100.0)
    assert clock.ledger is not None
    cost = clock.ledger.to_dict(price_per_hour=360.0, currency="EUR")
    stages = cost["stages"]
    assert list(stages) == ["optimize", "mesh", BETWEEN]
    assert stages["optimize"]["energy_wh"] == pytest.approx(440 / 3600) and stages["mesh"]["seconds"] == 11.0
    assert stages[BETWEEN]["seconds"] == pytest.approx(1.0)
    assert cost["total"] == pytest.approx({"seconds": 36.0, "energy_wh": 600 / 3600, "price": 3.6})
    for key, whole in cost["total"].items():
        assert sum(row[key] for row in stages.values()) == pytest.approx(whole, abs=1e-7)
    metrics = cost_metrics(cost)
    assert metrics["energy"]["unit"] == "Wh (measured)" and metrics["price"]["value"] == pytest.approx(3.6)


def test_without_a_price_none_is_named(tmp_path: Path) -> None:
    cost = Ledger.of(Machine(tmp_path).meter()).to_dict()
    assert "price" not in cost["total"] and "price" not in cost_metrics(cost) and "currency" not in cost


def test_the_report_shows_the_method_and_escapes_a_strangers(tmp_path: Path) -> None:
    cost = {"method": "estimated: <b>x</b>", "currency": "<i>", "price_per_hour": 1}
    row = {"seconds": 2.0, "energy_wh": 0.25, "price": 0.5}
    (tmp_path / "cost.json").write_text(json.dumps({**cost, "stages": {"<mesh>": row}, "total": row}))
    assert read_cost(tmp_path / "cost.json")["total"] == row
    page = write_report(tmp_path).read_text("utf-8")
    assert "Energy and cost" in page and "0.25 Wh" in page and "estimated: &lt;b&gt;" in page
    assert "<i>" not in page and "<mesh>" not in page


def test_the_report_names_whose_work_it_is_and_leaves_out_what_is_damaged(tmp_path: Path) -> None:
    material = {"what": "input", "credit": "<b>A. Uthor</b>", "license": "CC-BY-4.0"}
    record = {"materials": [material, 3], "use": "research", "digital_source_type": "http://x/algorithmicMedia"}
    (tmp_path / "provenance.json").write_text(json.dumps({"record": record}))
    page = write_report(tmp_path).read_text("utf-8")
    assert "Whose work it is" in page and "&lt;b&gt;A. Uthor" in page and "<b>A. Uthor" not in page
    assert "CC-BY-4.0" in page and "Stated use: research. Digital source type: algorithmicMedia." in page
    for damaged in ({"record": 1}, {"record": {"materials": {}}}, {"record": {"materials": ["x"]}}):
        (tmp_path / "provenance.json").write_text(json.dumps(damaged))
        assert "Whose work it is" not in write_report(tmp_path).read_text("utf-8")
