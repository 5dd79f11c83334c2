# SPDX-License-Identifier: GPL-3.0-or-later
"""nerf2mesh in Blender: a picture becomes a textured mesh, and a part of it another.

The library runs in a process of its own, in an environment that the user points to; nothing of it is loaded here.
"""

from __future__ import annotations

from . import operators, panel, preferences

ROOMS = (preferences, operators, panel)


def register() -> None:
    """Called by Blender when the extension is switched on."""
    for room in ROOMS:
        room.register()


def unregister() -> None:
    """Called by Blender when it is switched off or taken away."""
    for room in reversed(ROOMS):
        room.unregister()
