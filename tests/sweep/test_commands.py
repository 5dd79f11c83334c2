"""What nerf2mesh-bench does beside running a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from nerf2mesh.evaluate.tables.results import Record, Results
from nerf2mesh.sweep.commands import COMMANDS


def test_commands_print_what_they_say(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    old = Results("core", tuple(Record("ours", f"o{k}", 0, {"psnr": 10.0 + k}) for k in range(8)), {}, "then")
    new = Results("core", tuple(Record("ours", f"o{k}", 0, {"psnr": 12.0 + k}) for k in range(8)), {}, "now")
    old.save(tmp_path / "old" / "results.json")
    new.save(tmp_path / "new" / "results.json")
    COMMANDS["compare"]([str(tmp_path / "old"), str(tmp_path / "new" / "results.json")])
    said = capsys.readouterr().out
    assert "+2.00" in said and "8 of 8" in said and "0.00781" in said, "p = 2 / 2^8"
    COMMANDS["latex"]([str(tmp_path / "new")])
    assert r"\toprule" in capsys.readouterr().out
    COMMANDS["published"](["syncdreamer-gso"])
    assert "Published, not measured here" in capsys.readouterr().out
    with pytest.raises(ValueError, match="expected one with printed figures"):
        COMMANDS["published"](["core"])
    with pytest.raises(ValueError, match=r"expected a folder with jobs\.json"):
        COMMANDS["status"]([str(tmp_path)])
    (tmp_path / "new" / "results.json").write_text('{"protocol": "core", "rec')
    with pytest.raises(ValueError, match="expected a file written by the benchmark"):
        COMMANDS["compare"]([str(tmp_path / "old"), str(tmp_path / "new")])
