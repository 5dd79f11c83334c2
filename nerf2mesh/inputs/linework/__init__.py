"""Drawings made of lines: pictures, PDF, SVG and DXF read as one kind of value, in metres, x to the right and y up."""

from nerf2mesh.inputs.linework.kinds import Area, Label, Line, Linework, Raster
from nerf2mesh.inputs.linework.read import read_sheet

__all__ = ["Area", "Label", "Line", "Linework", "Raster", "read_sheet"]
