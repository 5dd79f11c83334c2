"""A run that goes on in a thread of its own, for notebooks: `nerf2mesh.start`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from nerf2mesh.optimize import RunControl
from nerf2mesh.run.result import Result
from nerf2mesh.view.watch import Watch


class BackgroundRun:
    """What `start` returns, at once. Display it for progress, four views, a curve and buttons (ipywidgets)."""

    def __init__(self, work: Callable[[RunControl, Watch | None], Result], steps: int) -> None:
        """work: the run; called in a thread with the hand on it and what is shown of it."""
        self._control = RunControl()
        self._widget = new_widget(self._control, buttons=True)
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._steps = steps
        self._shown: list[Any] = []
        """Where a notebook shows the widget."""
        self._thread = threading.Thread(target=self._do, args=(work,), name="nerf2mesh-run", daemon=True)
        self._thread.start()

    def result(self, timeout_s: float | None = None) -> Result:
        """Waits for the end, `timeout_s` seconds at most, and gives what `fit` gives, or raises what it raises.

        Raises TimeoutError where the run has not ended by then; it goes on.
        """
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"the run goes on after {timeout_s} s; ask again, or stop it")
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    @property
    def done(self) -> bool:
        """Whether the run has ended, well or not."""
        return self._result is not None or self._error is not None

    @property
    def paused(self) -> bool:
        """Whether the run waits."""
        return self._control.paused

    def stop(self) -> None:
        """Ends the optimization after its present step; the mesh is made from what is there."""
        self._control.stop()

    def pause(self) -> None:
        """Waits after the present step."""
        self._control.pause()

    def resume(self) -> None:
        """Goes on."""
        self._control.resume()

    def change(self, setting: str, value: object) -> None:
        """distill.weight, distill.guidance_scale, input.prompt or lora.weights, from the next step on; recorded.

        ValueError for another setting, or a value of another type.
        """
        self._control.change(setting, value)

    def __repr__(self) -> str:
        if self._error is not None:
            return f"Run(failed: {' '.join(str(self._error).split())})"
        if self._result is not None:
            return f"Run(done: {self._result!r})"
        return f"Run({self._widget.text if self._widget else f'of {self._steps} steps'})"

    def _ipython_display_(self) -> None:
        """Shows the widget in a notebook. The end of the run puts the result in its place, as plain HTML."""
        from IPython.display import display

        handle = display(self._bundle(), raw=True, display_id=True)
        if handle is not None:
            self._shown.append(handle)
        if self.done:
            self._settle()

    def _bundle(self) -> dict[str, Any]:
        """By MIME type, what is shown now."""
        html = self._widget.html() if self._widget is not None else ""
        if not self.done:
            if self._widget is None:
                return {"text/plain": f"{self!r}; pip install 'nerf2mesh[notebook]' shows it"}
            return {**self._widget.face._repr_mimebundle_(), "text/html": html, "text/plain": repr(self)}
        mesh = self._result._repr_html_() if self._result is not None and self._result.mesh is not None else ""
        return {"text/html": html + mesh, "text/plain": repr(self)}

    def _settle(self) -> None:
        """Widgets die with their kernel; what a saved notebook keeps is the result."""
        shown, self._shown = self._shown, []
        for handle in shown:
            with suppress(Exception):  # of a front end that has gone: the result is there all the same
                handle.update(self._bundle(), raw=True)

    def _do(self, work: Callable[[RunControl, Watch | None], Result]) -> None:
        try:
            self._result = work(self._control, self._widget)
        except BaseException as error:  # raised again by `result`
            self._error = error
            if self._widget:
                self._widget.failed(error)
        self._settle()


@contextmanager
def shown_in_notebook(control: RunControl) -> Iterator[Any]:
    """Shows the widget of a run that blocks, without buttons; at the end plain HTML takes its place. Gives None where
    ipywidgets is missing."""
    widget = new_widget(control, buttons=False)
    if widget is None:
        yield None
        return
    from IPython.display import display

    bundle = {**widget.face._repr_mimebundle_(), "text/html": widget.html(), "text/plain": widget.text}
    handle = display(bundle, raw=True, display_id=True)
    try:
        yield widget
    except BaseException as error:
        widget.failed(error)
        raise
    finally:
        if handle is not None:
            handle.update({"text/html": widget.html(), "text/plain": widget.text}, raw=True)


def new_widget(control: RunControl, *, buttons: bool) -> Any:
    """The widget of a run; None without ipywidgets."""
    try:
        from nerf2mesh.view.widget import RunWidget

        return RunWidget(control, buttons=buttons)
    except ImportError:
        return None
