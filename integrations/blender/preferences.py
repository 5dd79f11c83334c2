# SPDX-License-Identifier: GPL-3.0-or-later
"""Preferences of the add-on and what the panel holds, per scene."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, IntProperty, PointerProperty, StringProperty

PRESETS = (
    ("instant", "Instant", "A first guess, in seconds"),
    ("preview", "Preview", "A quick look: few steps, a coarse mesh"),
    ("standard", "Standard", "The defaults"),
    ("high", "High", "A finer mesh, for a GPU or for patience"),
    ("tiny", "Tiny", "Shows that the chain runs, nothing of its quality"),
)
CHANGES = (
    ("auto", "Auto", "Color where the paint-over keeps the outline, else shape"),
    ("color", "Color", "The surface stays as it is everywhere"),
    ("shape", "Shape", "The surface may change in the region"),
)


class Nerf2MeshPreferences(bpy.types.AddonPreferences):
    """Where the library is, and where runs are kept."""

    bl_idname = __package__

    environment: StringProperty(
        name="Environment",
        description="The folder of a Python environment with nerf2mesh, its Python, or the program nerf2mesh. "
        "Empty: the program on the PATH",
        subtype="FILE_PATH",
    )
    runs: StringProperty(
        name="Runs",
        description="Where run folders are made. Empty: a folder nerf2mesh beside the .blend file, else in the home",
        subtype="DIR_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        """In the preferences' window."""
        self.layout.prop(self, "environment")
        self.layout.prop(self, "runs")


class Nerf2MeshAdapter(bpy.types.PropertyGroup):
    """One adapter of the list."""

    path: StringProperty(name="Adapter", subtype="FILE_PATH", description="A LoRA adapter, .safetensors")


class Nerf2MeshSettings(bpy.types.PropertyGroup):
    """Scene.nerf2mesh."""

    image: StringProperty(name="Picture", subtype="FILE_PATH", description="A PNG, JPEG or WebP file of one object")
    preset: EnumProperty(name="Preset", items=PRESETS, default="standard")
    prompt: StringProperty(name="Prompt", description="What the object is, or is to become")
    adapters: CollectionProperty(type=Nerf2MeshAdapter)
    seed: IntProperty(name="Seed", min=0, max=2**31 - 1)
    more: StringProperty(name="More", description="Further settings, as on the command line: mesh.resolution=256")
    group: StringProperty(name="Region", description="Vertex group that alone may change. Empty: everything may")
    share: IntProperty(
        name="Middle of the view", subtype="PERCENTAGE", default=60, min=1, max=100, description="Of its sides"
    )
    size_px: IntProperty(name="Size", default=768, min=64, max=4096, description="Of the picture to paint over, pixels")
    paint: StringProperty(name="Paint-over", subtype="FILE_PATH", description="The rendering, painted over")
    mask: StringProperty(
        name="Mask", subtype="FILE_PATH", description="Instead of the group: white on black, as large as the rendering"
    )
    change: EnumProperty(name="Change", items=CHANGES)
    keep_topology: BoolProperty(
        name="Keep topology", description="Vertices, triangles and texture coordinates of the mesh stay"
    )


def settings_of(context: bpy.types.Context) -> Nerf2MeshSettings:
    """What the panel holds."""
    return context.scene.nerf2mesh


def environment_of(context: bpy.types.Context) -> str:
    """The place of the user's environment, as the preferences say."""
    return bpy.path.abspath(context.preferences.addons[__package__].preferences.environment)


def runs_of(context: bpy.types.Context) -> Path:
    """The folder of all run folders."""
    named = context.preferences.addons[__package__].preferences.runs
    if named:
        return Path(bpy.path.abspath(named))
    return Path(bpy.path.abspath("//") if bpy.data.filepath else Path.home()) / "nerf2mesh"


CLASSES = (Nerf2MeshPreferences, Nerf2MeshAdapter, Nerf2MeshSettings)


def register() -> None:
    """Adds Scene.nerf2mesh."""
    for kind in CLASSES:
        bpy.utils.register_class(kind)
    bpy.types.Scene.nerf2mesh = PointerProperty(type=Nerf2MeshSettings)


def unregister() -> None:
    """Takes all of it away."""
    del bpy.types.Scene.nerf2mesh
    for kind in reversed(CLASSES):
        bpy.utils.unregister_class(kind)
