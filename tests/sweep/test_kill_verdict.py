"""The verdict of the kill test on folders made by hand: it finds what is lost, doubled and unequal."""

from __future__ import annotations

import json
from pathlib import Path

from nerf2mesh.evaluate.tables.results import Record, Results
from tests.cluster.judge import verdict


def folder(path: Path, done: list[str], psnr: float, seconds: float, table: str = "a") -> Path:
    path.mkdir()
    events = [{"event": "claim", "job": job} for job in done] + [{"event": "lost", "job": done[0]}]
    events += [{"event": "done", "job": job} for job in done]
    (path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    records = tuple(Record("sphere", f"o{k}", 0, {"psnr": psnr + k}, seconds=seconds) for k in range(2))
    Results("core", records).save(path / "results.json")
    for name in ("means.csv", "means.json", "table.tex"):
        (path / name).write_text(table)
    return path


def test_lost_doubled_and_unequal_are_found(tmp_path: Path) -> None:
    reference = folder(tmp_path / "reference", ["a", "b"], 20.0, 1.0)
    same = verdict(reference, folder(tmp_path / "same", ["a", "b"], 20.0, 9.0), 2)
    assert same == {
        "jobs": 2, "interrupted": 1, "lost": 0, "doubled": 0, "unequal": 0, "tables_equal": True,
    }  # fmt: skip
    worse = verdict(reference, folder(tmp_path / "worse", ["a", "a"], 20.0 + 1e-12, 1.0, "b"), 2)
    assert (worse["lost"], worse["doubled"], worse["unequal"], worse["tables_equal"]) == (1, 1, 2, False)
