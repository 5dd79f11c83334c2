"""Floor plans: walls, rooms and openings of a sheet."""

from nerf2mesh.inputs.plan.kinds import Opening, OpenWalls, Plan, Room
from nerf2mesh.inputs.plan.read import read_plan

__all__ = ["OpenWalls", "Opening", "Plan", "Room", "read_plan"]
