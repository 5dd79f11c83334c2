"""Engineering drawings: the views of one part on a sheet."""

from nerf2mesh.inputs.drawing.kinds import Drawing, Projection
from nerf2mesh.inputs.drawing.read import read_drawing

__all__ = ["Drawing", "Projection", "read_drawing"]
