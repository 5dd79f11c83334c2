"""Fields: density and color as functions of position."""

from nerf2mesh.fields.activation import ExpDensity, LaplaceDensity, SoftplusDensity
from nerf2mesh.fields.bound import SilhouetteBound, bound_of
from nerf2mesh.fields.config import FieldConfig
from nerf2mesh.fields.hash_grid import HashGridField
from nerf2mesh.fields.protocol import Field, FieldOutput
from nerf2mesh.fields.sdf import sdf_config

__all__ = [
    "ExpDensity",
    "Field",
    "FieldConfig",
    "FieldOutput",
    "HashGridField",
    "LaplaceDensity",
    "SilhouetteBound",
    "SoftplusDensity",
    "bound_of",
    "sdf_config",
]
