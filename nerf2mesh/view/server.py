"""A viser server behind its guard, with the painter, the scene and the panel."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

from nerf2mesh.optimize import RunControl
from nerf2mesh.view.copies import FieldCopy
from nerf2mesh.view.guard import LOOPBACK, Guard, guarding, is_guarded
from nerf2mesh.view.painter import Painter
from nerf2mesh.view.panel import Panel
from nerf2mesh.view.stage import Stage


class Viewer:
    """Open until `close`. `address` is what a browser opens, with the token where there is one."""

    def __init__(
        self,
        copy: FieldCopy | None,
        *,
        host: str,
        port: int,
        folder: Path | None = None,
        control: RunControl | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        """copy: of the field; None for a mesh alone. folder: of the run, for curves and kept states. control, settings:
        of a running run, and what may change in it, by name. ValueError where the port cannot be opened safely."""
        import viser

        guard = Guard.of(host)
        logging.getLogger("websockets.server").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", r"Queued a \w+ on a closed connection")  # of a browser that has just gone
        with guarding(guard), contextlib.redirect_stdout(io.StringIO()):  # viser prints an address without the token
            try:
                self.server = viser.ViserServer(host=host, port=port, label="nerf2mesh", verbose=False)
            except OSError as error:
                raise ValueError(
                    f"report.viewer_host: expected an address of this machine, got {host} ({error.strerror}); take "
                    f"{LOOPBACK[0]}"
                ) from error
        self.server.gui.configure_theme(dark_mode=False, show_logo=False, control_width="medium")
        port = self.server.get_port()
        if not is_guarded(host, port):
            self.server.stop()
            raise ValueError(
                f"report.viewer: expected viser to ask who looks, got {viser.__version__}, which does not; "
                "install the version of constraints.txt"
            )
        shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{port}/" + (f"?token={guard.token}" if guard.token else "")
        self.stage = Stage(self.server, beside=copy is not None)
        self.painter = Painter(copy, beside_run=control is not None)
        self.panel = Panel(self.server, self.painter, self.stage, copy, folder, control, settings or {})
        self.painter.tick = self.panel.tick
        self.server.on_client_connect(self._enter)
        self.server.on_client_disconnect(self.painter.leave)
        self.painter.start()

    def _enter(self, client: Any) -> None:
        self.painter.enter(client)
        client.camera.on_update(lambda _: self.painter.enter(client))

    def close(self) -> None:
        """Ends painting and closes the port."""
        self.painter.stop()
        self.panel.close()
        with contextlib.redirect_stdout(io.StringIO()):  # viser says goodbye there
            self.server.stop()
