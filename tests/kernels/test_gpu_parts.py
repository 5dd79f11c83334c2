"""The parts for a GPU as programs: plan, refusals, deadline, one JSON rewritten after each item, exit codes, no GPU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import runner
from benchmarks.gpu.items import fits
from benchmarks.gpu.parts import PARTS, Item
from benchmarks.gpu.process import ROOT, Figures, NotRun, Overran, Setting, command, environment, in_process
from nerf2mesh.kernels import available

ABOUT = {"device": "A GPU", "torch": "2"}


def setting(seconds: float = 60.0, **more: object) -> Setting:
    return Setting("cpu", time.monotonic() + seconds, **more)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def item(name: str, code: str, seconds: float = 30.0) -> Item:
    """Runs Python code in a process of its own."""

    def run(given: Setting) -> Figures:
        status, text = command(python(code), given)
        return {"text": text.strip()} | ({"failed": text} if status else {})

    return Item(name, "", seconds, run)


def run_all(items: list[Item], folder: Path, seconds: float = 1e9) -> tuple[int, dict[str, dict]]:
    """The exit code, and the items of the part's file."""
    code = runner.run_all("part", runner.runs(items, []), folder, "cuda", time.monotonic() + seconds, ABOUT)
    return code, json.loads((folder / "part.json").read_text())["items"]


@pytest.mark.parametrize("part", sorted(PARTS))
def test_plan_names_every_item(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main([part, "--plan"]) == 0
    shown = capsys.readouterr().out
    assert all(item.name in shown and item.what in shown for item in PARTS[part])
    assert PARTS[part][0].name == "build", "every part stands alone"


def test_items_are_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    names = lambda *choice: [item.name for item in runner.chosen(*choice)]
    assert names("check", "loop,step", "") == ["build", "step", "loop"]
    assert names("check", "loop,step", "build,step") == ["loop"]
    assert "tests" not in names("check", "", "tests")
    for wrong, word in ((["nonsense"], "'nonsense'"), (["speed", "--only", "clock"], "clock")):
        assert runner.main(wrong) == 2
        told = capsys.readouterr().err.strip()
        assert "\n" not in told and word in told and "expected" in told
    assert runner.main(["speed", "--library", "/nowhere/lib.so"]) == 2
    assert "/nowhere/lib.so" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_says_in_one_line_that_there_is_no_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["clock"]) == 2
    shown = capsys.readouterr().out.strip()
    assert "\n" not in shown and "no CUDA device" in shown and shown.endswith("sd21")


def test_one_bad_item_neither_hides_nor_stops_the_others(tmp_path: Path) -> None:
    def missing(_: Setting) -> Figures:
        raise NotRun("the package tinycudann is not installed")

    items = [
        Item("good", "", 0, lambda _: {"ratio": 2.5}),
        Item("absent", "", 0, missing),
        Item("broken", "", 0, lambda _: {"ratio": 1 / 0}),
        Item("wrong", "", 0, lambda _: {"ratio": 0.1, "failed": "beyond its bound"}),
    ]
    assert run_all(items[:2], tmp_path / "a")[0] == 0
    code, results = run_all(items, tmp_path / "b")
    assert code == 1 and [r["status"] for r in results.values()] == ["ok", "not run", "failed", "failed"]
    assert "tinycudann" in results["absent"]["why"] and "ZeroDivisionError" in results["broken"]["why"]
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["part.json"]


def test_written_after_each_item(tmp_path: Path) -> None:
    seen = []

    def look(_: Setting) -> Figures:
        seen.append(list(json.loads((tmp_path / "part.json").read_text())["items"]))
        return {}

    first = Item("first", "", 0, lambda _: {})
    run_all([first, Item("second", "", 0, look), Item("third", "", 0, look)], tmp_path)
    assert seen == [["first"], ["first", "second"]]


def test_a_limit_kills_what_an_item_started_and_keeps_what_it_said(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    grandchild = f"import time, pathlib; time.sleep(1.5); pathlib.Path({str(mark)!r}).touch()"
    code = f"import subprocess, sys; print('begun'); subprocess.run([sys.executable, '-c', {grandchild!r}])"
    status, results = run_all([item("long", code, seconds=0.7), item("after", "print(1)")], tmp_path)
    assert status == 1 and results["long"]["status"] == "stopped" and "begun" in results["long"]["output"]
    assert 0.6 < results["long"]["seconds"] < 1.4 and results["after"]["figures"]["text"] == "1"
    time.sleep(1.2)
    assert not mark.exists()


def test_nothing_is_started_that_would_pass_the_deadline(tmp_path: Path) -> None:
    items = [item("long", "print(1)", 60), item("short", "print(2)", 5)]
    code, results = run_all(items, tmp_path, seconds=20)
    assert code == 0 and [r["status"] for r in results.values()] == ["not run", "ok"]
    assert "deadline" in results["long"]["why"]


def test_outcomes_of_tests_that_ran_before_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.gpu import items

    def late(*_: object, **__: object) -> None:
        raise Overran("test_a.py::one PASSED [ 10%]\ntest_a.py::two FAILED [ 20%]\ntest_a.py::three PASSED\n")

    monkeypatch.setattr(items, "command", late)
    with pytest.raises(Overran) as caught:
        items.run_pytest(setting(), ["tests"])
    assert caught.value.figures == {"passed": 2, "failed": 1}


def test_counts_of_failed_tests_are_no_failure_text(tmp_path: Path) -> None:
    from benchmarks.gpu import items

    file = tmp_path / "test_two.py"
    file.write_text("def test_good(): pass\ndef test_bad(): assert False\n")
    found = items.run_pytest(setting(), [str(file), "--rootdir", str(tmp_path), "-c", os.devnull])
    assert (found["passed"], found["tests failed"]) == (1, 1) and "exit code 1" in found["failed"]
    assert "::test_good PASSED" in found["failed"], "each test is named, so that those before a limit can be counted"


def test_packages_beside_the_interpreter_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "carried_along.py").write_text("VALUE = 7")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = "import carried_along, nerf2mesh; print(carried_along.VALUE, nerf2mesh.__file__)"
    status, text = command(python(code), setting())
    assert status == 0 and text.split() == ["7", str(ROOT / "nerf2mesh" / "__init__.py")]


def test_another_library_is_handed_on_and_compared() -> None:
    other = Path("/somewhere/libn2m_other.so")
    assert environment(setting(library=other))["N2M_CUDA_LIBRARY"] == str(other)
    named = [run.name for run in runner.runs(PARTS["speed"], [other])]
    assert (
        named[:3] == ["build", "encode", "encode@somewhere/libn2m_other"] and "mlp@somewhere/libn2m_other" not in named
    )
    results = {
        "encode": {"figures": {"forward [ms]": 2.0, "ratio": 1.0}},
        "encode@somewhere/libn2m_other": {"figures": {"forward [ms]": 1.0, "ratio": 2.0}},
    }
    assert runner.ratios(results) == {"encode@somewhere/libn2m_other": {"forward [ms]": 0.5}}


def test_a_missing_cuda_library_fails_a_measurement() -> None:
    """It must not be replaced by the torch twins without a word."""
    found = in_process(setting(), "benchmarks.gpu.speed", "memory", device="cuda")
    assert torch.cuda.is_available() or "CUDA library cannot be loaded" in found["failed"]


@pytest.mark.skipif(available()["cpu"] is None, reason="no native library")
def test_a_library_of_unknown_origin_does_not_fit(tmp_path: Path) -> None:
    import nerf2mesh.kernels.build as builder

    (tmp_path / "text.so").write_text("no library")
    assert not fits(tmp_path / "text.so", "cpu") and not fits(tmp_path / "absent.so", "cpu")
    (tmp_path / "build" / "n2m").mkdir(parents=True)
    (tmp_path / "csrc" / "cpu").mkdir(parents=True)
    (tmp_path / "csrc" / "cpu" / "one.cpp").write_text("int n2m_one() { return 1; }\n")
    library = builder.build_cpu(tmp_path, tmp_path)
    wanted = builder.source_digest("cpu", tmp_path)
    assert builder.built_from(library, "cpu") == [wanted] and not fits(library, "cpu"), "other sources"
    (tmp_path / "csrc" / "cpu" / "one.cpp").write_text("int n2m_one() { return 2; }\n")
    assert builder.source_digest("cpu", tmp_path) != wanted


def test_sigterm_ends_a_part_in_order(tmp_path: Path) -> None:
    """The file holds the item that was stopped; the exit code says so."""
    code = (
        "import sys, time; from pathlib import Path; from benchmarks.gpu import runner; "
        "from benchmarks.gpu.parts import Item; from benchmarks.gpu.process import command; "
        "work = lambda given: command([sys.executable, '-c', 'import time; time.sleep(60)'], given); "
        "runner.PARTS['long'] = (Item('build', 'sleeps', 50, work), Item('next', '', 5, work)); "
        "sys.exit(runner.main(['long', '--device', 'cpu', '--output', sys.argv[1]]))"
    )
    variables = environment(setting())
    started = subprocess.Popen(
        [*python(code), str(tmp_path)], stdout=subprocess.PIPE, text=True, env=variables, cwd=ROOT
    )
    assert started.stdout is not None
    assert started.stdout.readline().startswith("build")
    time.sleep(0.3)
    started.send_signal(signal.SIGTERM)
    shown, _ = started.communicate(timeout=30)
    results = json.loads((tmp_path / "long.json").read_text())["items"]
    assert started.returncode == 1 and results["build"]["why"] == "SIGTERM" and list(results) == ["build"]
    assert "stopped" in shown


def test_a_deadline_counts_from_the_start_of_the_process() -> None:
    age = "from benchmarks.gpu.runner import process_start; print(time.monotonic() - process_start())"
    code = f"import time; time.sleep(1); {age}"
    status, text = command(python(code), setting())
    assert status == 0 and 1.0 <= float(text) < 30
