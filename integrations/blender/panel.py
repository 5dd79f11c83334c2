# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels in the sidebar of the 3D view (key N, tab nerf2mesh)."""

from __future__ import annotations

import bpy

from . import session
from .preferences import settings_of
from .scene_io import active_mesh


class NERF2MESH_PT_main(bpy.types.Panel):
    """Picture, preset, prompt, adapters; progress."""

    bl_label = "nerf2mesh"
    bl_space_type, bl_region_type, bl_category = "VIEW_3D", "UI", "nerf2mesh"

    def draw(self, context: bpy.types.Context) -> None:
        """The layout."""
        held, column = settings_of(context), self.layout.column()
        for name in ("image", "preset", "prompt", "seed"):
            column.prop(held, name)
        for index, item in enumerate(held.adapters):
            row = column.row(align=True)
            row.prop(item, "path", text="")
            row.operator("nerf2mesh.adapter_remove", text="", icon="X").index = index
        column.operator("nerf2mesh.adapter_add", icon="ADD")
        column.prop(held, "more")
        column.operator("nerf2mesh.generate", icon="MESH_MONKEY")
        if session.is_running():
            column.progress(factor=session.fraction(), text=session.said)
            column.operator("nerf2mesh.cancel", icon="CANCEL")
        elif session.said:
            column.label(text=session.said)


class NERF2MESH_PT_refine(bpy.types.Panel):
    """Region, paint-over, what may change."""

    bl_label = "Refine selected"
    bl_parent_id = "NERF2MESH_PT_main"
    bl_space_type, bl_region_type, bl_category = "VIEW_3D", "UI", "nerf2mesh"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a mesh."""
        return active_mesh(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        """The layout."""
        held, column = settings_of(context), self.layout.column()
        column.prop_search(held, "group", context.active_object, "vertex_groups")
        row = column.row(align=True)
        row.operator("nerf2mesh.region_from_view", icon="VIEW3D")
        row.prop(held, "share", text="")
        row = column.row(align=True)
        row.operator("nerf2mesh.render", icon="RENDER_STILL")
        row.prop(held, "size_px", text="")
        for name in ("paint", "mask", "change", "keep_topology"):
            column.prop(held, name)
        column.operator("nerf2mesh.refine", icon="BRUSH_DATA")


CLASSES = (NERF2MESH_PT_main, NERF2MESH_PT_refine)


def register() -> None:
    """Both panels."""
    for kind in CLASSES:
        bpy.utils.register_class(kind)


def unregister() -> None:
    """Neither."""
    for kind in reversed(CLASSES):
        bpy.utils.unregister_class(kind)
