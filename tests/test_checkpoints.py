"""Checkpoints and run folders that are damaged, crafted or booby-trapped: noticed, said in one line, nothing lost."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import nerf2mesh
from nerf2mesh.config import load_config
from nerf2mesh.optimize import EARLIER, LAST
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.utils.checkpoint import before, has_checkpoint, read_checkpoint, write_checkpoint
from nerf2mesh.utils.tensor_file import pack, unpack
from tests.fuzz import checkpoints as fuzz
from tests.optimize.test_loop import assert_equal
from tests.test_fit_arguments import OVERRIDES, ball

BEFORE = str(before(Path(LAST)))
DATA = pack(fuzz.small_state().values())


def test_values_come_back_as_they_were() -> None:
    shared = torch.arange(6.0)
    values = {
        "tensors": [shared[:3], shared[3:], shared, torch.tensor(float("nan")), torch.zeros(0, 2)],
        "types": (torch.ones(2, dtype=torch.bfloat16), torch.tensor([1, 0], dtype=torch.bool), torch.tensor(1 << 40)),
        "keys": {0: "a", "0": "b", "t": {"d": [], "l": ()}},
        "numbers": [0.1, 1e-300, 1 << 80, True, None, 'quotes " and ü'],
    }
    before = [value.clone() for value in values["tensors"]]
    found = unpack(pack(values))
    nan = found["tensors"].pop(3)
    assert nan.isnan() and nan.shape == ()
    values["tensors"] = [*before[:3], before[4]]
    assert_equal(found, values)
    assert [value.dtype for value in found["types"]] == [torch.bfloat16, torch.bool, torch.int64]
    assert isinstance(found["types"], tuple) and pack(values) == pack(values)


def test_every_flipped_bit_is_noticed() -> None:
    """Random places of the whole file, and every bit of the first 2,000 bytes: length, header and checksum."""
    draw = random.Random(0)
    for bit in {*draw.sample(range(8 * len(DATA)), 500), *range(0, 16_000, 3)}:
        changed = bytearray(DATA)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="damaged"):
            unpack(bytes(changed))


def test_every_truncation_is_noticed() -> None:
    draw = random.Random(0)
    for length in {*range(120), *draw.sample(range(len(DATA)), 200), len(DATA) - 1}:
        with pytest.raises(ValueError, match="damaged"):
            unpack(DATA[:length])
    with pytest.raises(ValueError, match="damaged"):
        unpack(DATA + b"\0")


def test_the_one_before_is_taken_and_the_damaged_one_kept(tmp_path: Path) -> None:
    path = tmp_path / LAST
    fuzz.write_two(path)
    damaged = path.read_bytes()[:-1]
    path.write_bytes(damaged)
    state = fuzz.small_state(seed=3)
    (said,) = state.load(path)
    assert state.step == 1 and "its SHA-256 does not fit" in said and "last.safetensors.refused" in said
    assert_equal(state.values(), read_checkpoint(tmp_path / BEFORE))
    assert (path.parent / "last.safetensors.refused").read_bytes() == damaged and "\n" not in said
    for state.step in (2, 3):
        state.save(path)
    assert [read_checkpoint(tmp_path / name)["step"] for name in (BEFORE, LAST)] == [2, 3]
    path.write_bytes(b"")
    state.load(path)
    assert (path.parent / "last.safetensors.refused2").read_bytes() == b""


def test_where_neither_can_be_used_one_line_says_so_and_both_stay(tmp_path: Path) -> None:
    path = tmp_path / LAST
    fuzz.write_two(path)
    for name in (LAST, BEFORE):
        (tmp_path / name).write_bytes(name.encode())
    with pytest.raises(ValueError, match=r"^checkpoint: expected one of this run, got .*last\.safetensors .*foreign"):
        fuzz.small_state().load(path)
    assert [(tmp_path / name).read_bytes() for name in (LAST, BEFORE)] == [LAST.encode(), BEFORE.encode()]


def test_killed_between_the_renames_the_one_before_is_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the file system has no hard links."""
    path = tmp_path / LAST
    fuzz.write_two(path)
    path.unlink()
    state = fuzz.small_state(seed=3)
    assert has_checkpoint(tmp_path / LAST, tmp_path / EARLIER) and state.load(path) == [] and state.step == 1

    def refused(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refused)
    fuzz.write_two(path)
    assert [read_checkpoint(tmp_path / name)["step"] for name in (BEFORE, LAST)] == [1, 2]


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "step": lambda v: v.update(step="4"),
    "negative step": lambda v: v.update(step=-1),
    "no field": lambda v: v.pop("field"),
    "field": lambda v: v.update(field=[1, 2]),
    "dtype": lambda v: v["field"].update({k: t.double() for k, t in v["field"].items()}),
    "levels": lambda v: v["field"].update(_active_levels=torch.tensor(10**9)),
    "nan": lambda v: next(t for t in v["field"].values() if t.ndim).fill_(float("nan")),
    "moments": lambda v: v["optimizer"]["state"][0].update(exp_avg=torch.zeros(3)),
    "no moments": lambda v: v["optimizer"]["state"][0].pop("exp_avg"),
    "row size": lambda v: v["optimizer"]["param_groups"][0].update(row_size=1 << 40),
    "groups": lambda v: v["optimizer"].update(param_groups=[]),
    "generator": lambda v: v["generators"].update(camera=torch.zeros(3, dtype=torch.uint8)),
    "factors": lambda v: v.update(factors={"distill": float("inf")}),
    "events": lambda v: v.update(events=[1]),
    "parts": lambda v: v.update(parts={"distiller": 1}),
    "occupancy": lambda v: v["occupancy"].update(bits=torch.zeros(1, dtype=torch.uint8)),
}


@pytest.mark.parametrize("name", WRONG)
def test_fitting_checksums_over_unfitting_values_are_refused(name: str, tmp_path: Path) -> None:
    values = unpack(DATA)
    WRONG[name](values)
    write_checkpoint(tmp_path / "x", values)
    with pytest.raises(ValueError, match=r"^checkpoint: expected one of this run, got ") as refused:
        fuzz.small_state().load(tmp_path / "x")
    assert "\n" not in str(refused.value)


def test_a_part_of_other_values_is_refused_when_it_comes(tmp_path: Path) -> None:
    class Part:
        def load_state_dict(self, values: dict[str, Any]) -> None:
            values["weights"]

    values = unpack(DATA) | {"parts": {"distiller": {}}}
    write_checkpoint(tmp_path / "x", values)
    state = fuzz.small_state()
    state.load(tmp_path / "x")
    with pytest.raises(ValueError, match=r"^checkpoint: expected one of this run, got .*x \('weights'\)"):
        state.add_part("distiller", Part())


def test_pickles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    torch.save(fuzz.small_state().values(), tmp_path / EARLIER)
    with pytest.raises(ValueError, match=r"got last\.pt of an earlier version, a pickle"):
        has_checkpoint(tmp_path / LAST, tmp_path / EARLIER)
    with pytest.raises(ValueError, match="a pickle, as earlier versions wrote it"):
        read_checkpoint(tmp_path / EARLIER)


OUTPUTS = (
    *("overrides.yaml", "versions.json", "provenance.json", "timings.json", "metrics.json", "metrics.jsonl"),
    *(
        "warnings.json",
        "mesh.json",
        "cost.json",
        "ATTRIBUTION.md",
        "turntable.mp4",
        "turntable.gif",
        "report.html",
        "previews/step_000002.png",
    ),
)
REPLACED = ("config.yaml", "inputs.json", "changes.json", "mesh.glb", LAST, BEFORE, "adapters/subject.safetensors")


def plant(run: Path, names: tuple[str, ...], mine: Path) -> None:
    """Each name and its .part become links to `mine`."""
    for name in names:
        for path in (run / name, run / f"{name}.part"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to(mine)


def test_planted_links_never_reach_the_users_files(tmp_path: Path) -> None:
    mine, run = tmp_path / "mine.txt", tmp_path / "run"
    mine.write_text("mine", encoding="utf-8")
    plant(run, OUTPUTS, mine)
    settings = [*OVERRIDES, "report.html=true", "report.turntable_frames=2", "optimize.preview_every=2"]
    nerf2mesh.fit(observations=ball(), overrides=[*settings, "optimize.steps=2"], output_dir=run)
    assert mine.read_text("utf-8") == "mine" and mine.stat().st_nlink == 1
    assert (run / "mesh.glb").read_bytes()[:4] == b"glTF" and read_checkpoint(run / LAST)["step"] == 2
    assert not any(path.suffix == ".part" for path in run.rglob("*"))
    assert not any((run / name).is_symlink() for name in OUTPUTS if name != "turntable.gif")


def test_links_in_the_place_of_what_a_run_reads_are_refused_and_overwrite_removes_them(tmp_path: Path) -> None:
    mine, run = tmp_path / "mine.txt", tmp_path / "run"
    mine.write_text("mine", encoding="utf-8")
    plant(run, (*OUTPUTS, *REPLACED), mine)
    config = load_config([*OVERRIDES, f"output_dir={run}"])
    with pytest.raises(ValueError, match=r"inputs\.json: expected a regular file, got a link; remove it$"):
        RunFolder.open(config, (), ball())
    RunFolder.open(replace(config, overwrite=True), (), ball())
    assert mine.read_text("utf-8") == "mine"
    assert not any(path.is_symlink() for path in run.rglob("*"))


def test_a_short_run_of_the_fuzzer_finds_nothing() -> None:
    counts = fuzz.main(60.0, seed=1, cases=40)
    assert counts["cases"] == 40
    assert (counts["tracebacks"], counts["hangs"], counts["accepted"]) == (0, 0, 0)
