# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons. A run never holds up the interface: a timer looks at it twice a second."""

import time
from collections.abc import Callable

import bpy
from mathutils import Matrix

from . import session
from .command import next_free
from .picture import render_to_paint
from .preferences import runs_of, settings_of
from .scene_io import active_mesh, region_from_view

EVERY_S = 0.5
WAIT_S = 0.2


class _Watching:
    """A modal operator that starts a run and looks after it. Without a window (scripts) it waits instead."""

    start: Callable[[bpy.types.Context], None]
    _timer = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return not session.is_running()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self._started(context):
            return {"CANCELLED"}
        manager = context.window_manager
        self._timer = manager.event_timer_add(EVERY_S, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        status = self._looked(context)
        for area in context.screen.areas if context.screen else ():
            area.tag_redraw()
        if status == "running":
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self._timer)
        return {"FINISHED"} if status == "done" else {"CANCELLED"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        if not self._started(context):
            return {"CANCELLED"}
        while (status := self._looked(context)) == "running":
            time.sleep(WAIT_S)
        return {"FINISHED"} if status == "done" else {"CANCELLED"}

    def _started(self, context: bpy.types.Context) -> bool:
        try:
            type(self).start(context)
        except (ValueError, OSError) as error:
            self.report({"ERROR"}, " ".join(str(error).split()))
            return False
        return True

    def _looked(self, context: bpy.types.Context) -> str:
        try:
            status = session.tick(context)
        except RuntimeError as error:
            session.said, status = str(error), "failed"
        if status in ("failed", "done"):
            self.report({"ERROR" if status == "failed" else "INFO"}, session.said)
        return status


class _OnMesh:
    """For operators that need an active mesh."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return active_mesh(context) is not None


class NERF2MESH_OT_generate(_Watching, bpy.types.Operator):
    """Make a mesh of the picture (or of the words alone)"""

    bl_idname = "nerf2mesh.generate"
    bl_label = "Make a mesh"
    start = staticmethod(session.start_new)


class NERF2MESH_OT_refine(_Watching, bpy.types.Operator):
    """Change the selected mesh: in its region, by prompt, adapters or paint-over"""

    bl_idname = "nerf2mesh.refine"
    bl_label = "Refine selected"
    start = staticmethod(session.start_refining)


class NERF2MESH_OT_cancel(bpy.types.Operator):
    """Stop the run; it keeps a checkpoint in its folder"""

    bl_idname = "nerf2mesh.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return session.is_running()

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.cancel()
        return {"FINISHED"}


class NERF2MESH_OT_region(_OnMesh, bpy.types.Operator):
    """Take what the view shows in its middle as the region (a vertex group, to be painted further as weights)"""

    bl_idname = "nerf2mesh.region_from_view"
    bl_label = "Region from the view"

    def execute(self, context: bpy.types.Context) -> set[str]:
        held = settings_of(context)
        seen = _view(context)
        if seen is None:
            self.report({"ERROR"}, "view: expected a 3D view or a camera in the scene, got neither; add a camera")
            return {"CANCELLED"}
        held.group, count = region_from_view(context.active_object, *seen, held.share / 100)
        self.report({"INFO"}, f"{count} vertices in {held.group}")
        return {"FINISHED"} if count else {"CANCELLED"}


class NERF2MESH_OT_render(_OnMesh, bpy.types.Operator):
    """Render the selected mesh as the scene's camera sees it, to paint over; the camera is kept beside the picture"""

    bl_idname = "nerf2mesh.render"
    bl_label = "Render to paint over"

    def execute(self, context: bpy.types.Context) -> set[str]:
        held, mesh = settings_of(context), context.active_object
        path = next_free(runs_of(context) / "paint", mesh.name, ".png")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held.paint = str(render_to_paint(context, mesh, path, held.size_px))
        except (ValueError, OSError) as error:
            self.report({"ERROR"}, " ".join(str(error).split()))
            return {"CANCELLED"}
        self.report({"INFO"}, f"paint over {held.paint}")
        return {"FINISHED"}


class NERF2MESH_OT_adapter_add(bpy.types.Operator):
    """Add an adapter"""

    bl_idname = "nerf2mesh.adapter_add"
    bl_label = "Add an adapter"

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings_of(context).adapters.add()
        return {"FINISHED"}


class NERF2MESH_OT_adapter_remove(bpy.types.Operator):
    """Take the adapter off the list"""

    bl_idname = "nerf2mesh.adapter_remove"
    bl_label = "Remove"
    index: bpy.props.IntProperty()

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings_of(context).adapters.remove(self.index)
        return {"FINISHED"}


def _view(context: bpy.types.Context) -> tuple | None:
    """(world to clip coordinates, eye) of the 3D view, or of the camera with a square picture; None: neither."""
    space = context.space_data
    if space is not None and space.type == "VIEW_3D" and space.region_3d.view_perspective != "CAMERA":
        view = space.region_3d
        return view.perspective_matrix.copy(), view.view_matrix.inverted().translation
    camera = context.scene.camera
    if camera is None:
        return None
    projection = camera.calc_matrix_camera(context.evaluated_depsgraph_get(), x=512, y=512)
    place, turn, _ = camera.matrix_world.decompose()
    return projection @ Matrix.LocRotScale(place, turn, None).inverted(), place


CLASSES = (
    NERF2MESH_OT_generate,
    NERF2MESH_OT_refine,
    NERF2MESH_OT_cancel,
    NERF2MESH_OT_region,
    NERF2MESH_OT_render,
    NERF2MESH_OT_adapter_add,
    NERF2MESH_OT_adapter_remove,
)


def register() -> None:
    """All operators."""
    for kind in CLASSES:
        bpy.utils.register_class(kind)


def unregister() -> None:
    """Ends a run that goes on."""
    session.forget()
    for kind in reversed(CLASSES):
        bpy.utils.unregister_class(kind)
