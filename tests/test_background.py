"""Runs in a thread, and interrupted runs: what they give, what they leave, and what a notebook shows of them."""

from __future__ import annotations

import os
import signal
import threading
import xml.etree.ElementTree as xml
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import nerf2mesh
from nerf2mesh.optimize import LAST, RunControl
from nerf2mesh.run import run_fit
from nerf2mesh.run.interrupt import interrupts_wait
from tests.tiny_run import PLAIN


def _weights(result: nerf2mesh.Result) -> torch.Tensor:
    assert result.field is not None
    return torch.cat([p.detach().flatten() for p in result.field.parameters()])


def test_start_returns_at_once_and_gives_what_fit_gives() -> None:
    torch.manual_seed(5)
    run = nerf2mesh.start(nerf2mesh.demo_picture(), overrides=PLAIN)
    assert isinstance(run, nerf2mesh.BackgroundRun) and not run.done and repr(run).startswith("Run(")
    with pytest.raises(TimeoutError, match="goes on"):
        run.result(timeout_s=0.0)
    result = run.result()
    assert run.done and result.mesh is not None
    assert torch.equal(_weights(result), _weights(nerf2mesh.fit(nerf2mesh.demo_picture(), overrides=PLAIN)))


def test_a_run_is_stopped_by_hand_and_still_gives_a_mesh(tmp_path: Path) -> None:
    run = nerf2mesh.start(
        nerf2mesh.demo_picture(), overrides=[*PLAIN, "optimize.steps=100000"], output_dir=tmp_path / "run"
    )
    run.change("distill.weight", 0.5)
    run.pause()
    assert run.paused and not run.done
    run.resume()
    with pytest.raises(ValueError, match=r"^setting: expected"):
        run.change("seed", 1)
    run.stop()
    result = run.result(timeout_s=200.0)
    assert result.mesh is not None and any("stopped by hand" in line for line in result.warnings)
    assert (tmp_path / "run/interventions.json").is_file() and (tmp_path / "run/mesh.glb").is_file()


def test_errors_are_raised_where_they_belong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="preset"):
        nerf2mesh.start("cup.png", overrides=["preset=nothing"])
    run = nerf2mesh.start(tmp_path / "missing.png", overrides=PLAIN)
    with pytest.raises(ValueError, match=r"missing\.png"):
        run.result()
    assert "failed" in repr(run)


@pytest.fixture
def pythons_own_handler() -> Iterator[None]:
    """SIGINT as a fresh interpreter has it; a command that ran in this process before may have left its own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Interrupting:
    """Presses Ctrl-C after step 3."""

    def step(self, state, problem) -> None:
        if state.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    def keep(self, state, folder) -> None: ...
    def finishing(self) -> None: ...
    def finished(self) -> None: ...


@pytest.mark.usefixtures("pythons_own_handler")
def test_an_interrupted_fit_goes_on_bit_for_bit(tmp_path: Path) -> None:
    overrides = [*PLAIN, "optimize.checkpoint_every=100", f"input.image={nerf2mesh.demo_picture()}"]
    config = nerf2mesh.load_config([*overrides, f"output_dir={tmp_path / 'run'}"])
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="checkpoint written"):
        run_fit(config, watch=Interrupting())
    assert signal.getsignal(signal.SIGINT) is before and (tmp_path / "run" / LAST).is_file()
    went_on = nerf2mesh.fit(config=config)
    assert any(line.startswith("continued from step") for line in went_on.warnings)
    assert torch.equal(_weights(went_on), _weights(nerf2mesh.fit(overrides=overrides)))


@pytest.mark.usefixtures("pythons_own_handler")
def test_a_second_interrupt_does_not_wait() -> None:
    with interrupts_wait() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGINT)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_other_handlers_and_threads_are_left_alone() -> None:
    found = []

    def look() -> None:
        before = signal.getsignal(signal.SIGINT)
        with interrupts_wait() as asked:
            found.append((signal.getsignal(signal.SIGINT) is before, asked()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [(True, False)]


def test_the_widget_shows_steps_four_views_and_a_curve() -> None:
    pytest.importorskip("ipywidgets")
    from PIL import Image

    from nerf2mesh.view.widget import SIDE_PX, RunWidget, curve_svg

    control = RunControl()
    widget = RunWidget(control)
    widget._due = 0.0
    config = nerf2mesh.load_config([*PLAIN, f"input.image={nerf2mesh.demo_picture()}"])
    run_fit(config, control=control, watch=widget)
    bar, label, views, _, buttons = widget.face.children
    assert (bar.value, bar.max) == (4, 4) and label.value == widget.text == "done"
    import io

    assert Image.open(io.BytesIO(views.value)).size == (4 * SIDE_PX, SIDE_PX)
    assert widget.points[-1][0] == 4 and all(0.0 < value < 60.0 for _, value in widget.points)
    assert all(button.disabled for button in buttons.children)
    drawn = xml.fromstring(curve_svg([(1, 5.0), (2, 15.0), (3, 10.0)], "a < b"))
    y = [float(pair.split(",")[1]) for pair in drawn[0].attrib["points"].split()]
    assert y[1] < y[2] < y[0]


def test_buttons_pause_and_stop() -> None:
    pytest.importorskip("ipywidgets")
    from nerf2mesh.view.widget import RunWidget

    control = RunControl()
    pause, stop = RunWidget(control).face.children[-1].children
    pause.click()
    assert control.paused and pause.description == "Go on"
    pause.click()
    assert not control.paused and pause.description == "Pause"
    stop.click()
    assert stop.disabled and control._asked


class Cell:
    """A notebook's output that can be updated: what it shows, newest last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[dict[str, str]] = []
        monkeypatch.setattr("IPython.display.display", self.display)

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> Cell:
        assert raw and display_id
        self.shown.append(bundle)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(bundle)


WIDGET = "application/vnd.jupyter.widget-view+json"


def test_a_cell_ends_with_the_result_as_plain_html(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ipywidgets")
    cell = Cell(monkeypatch)
    run = nerf2mesh.start(nerf2mesh.demo_picture(), overrides=PLAIN)
    run._ipython_display_()
    run.result()
    first, last = cell.shown
    assert WIDGET in first and "preparing" in first["text/html"]
    assert set(last) == {"text/html", "text/plain"}
    assert "done" in last["text/html"] and "data:image/png" in last["text/html"] and "<iframe" in last["text/html"]
    run._ipython_display_()
    assert "<iframe" in cell.shown[-1]["text/html"]


def test_fit_shows_a_widget_while_it_blocks_and_html_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ipywidgets")
    cell = Cell(monkeypatch)
    monkeypatch.setattr("nerf2mesh.api.in_notebook", lambda: True)
    loud = [line for line in PLAIN if line != "report=quiet"] + ["report.turntable_frames=0"]
    result = nerf2mesh.fit(nerf2mesh.demo_picture(), overrides=loud)
    assert result.config.report.quiet  # no second bar beside the widget
    assert [WIDGET in bundle for bundle in cell.shown] == [True, False]
    assert "done" in cell.shown[-1]["text/html"]
    with pytest.raises(ValueError, match=r"missing\.png"):
        nerf2mesh.fit("missing.png", overrides=loud)
    assert "missing.png" in cell.shown[-1]["text/html"]
