"""Families of procedural objects: each is a function from a random generator and a palette to a list of parts.

The symmetric and part-based ones (animals, birds, figures, vehicles, furniture, vessels, fruit) are what makes an
unseen side guessable; `rubble` is unrelated textured primitives. Scenes are drawn at any size and place:
`grammar.sample_scenes` normalizes them.
"""

from __future__ import annotations

from collections.abc import Callable

from numpy.random import Generator

from nerf2mesh.procedural.families.held_out import guitar, house, lamp
from nerf2mesh.procedural.families.household import furniture, plate, vessel
from nerf2mesh.procedural.families.living import animal, bird, figure
from nerf2mesh.procedural.families.loose import fruit, rubble
from nerf2mesh.procedural.families.vehicles import vehicle
from nerf2mesh.procedural.palette import Palette
from nerf2mesh.procedural.parts import Part

Maker = Callable[[Generator, Palette], list[Part]]

FAMILIES: dict[str, tuple[Maker, float]] = {
    "rubble": (rubble, 0.24),
    "animal": (animal, 0.17),
    "bird": (bird, 0.11),
    "figure": (figure, 0.10),
    "vessel": (vessel, 0.11),
    "furniture": (furniture, 0.08),
    "vehicle": (vehicle, 0.08),
    "fruit": (fruit, 0.08),
    "plate": (plate, 0.03),
}
"""Name -> (maker, share of all scenes)."""

HELD_OUT_FAMILIES: dict[str, tuple[Maker, float]] = {
    "lamp": (lamp, 0.34),
    "house": (house, 0.33),
    "guitar": (guitar, 0.33),
}
"""Drawn only where they are named: kinds that no prior has been trained on."""
