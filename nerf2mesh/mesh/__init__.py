"""From a field to a mesh file: extract, repair, unwrap and bake, export, inspect."""

from nerf2mesh.mesh.access import FieldAccess
from nerf2mesh.mesh.build import build_lods, build_mesh, extract_lods, extract_mesh
from nerf2mesh.mesh.config import MeshConfig
from nerf2mesh.mesh.export.files import save_mesh, scale_to
from nerf2mesh.mesh.surface.inspect import inspect_mesh
from nerf2mesh.mesh.triangle_mesh import TriangleMesh

__all__ = [
    "FieldAccess",
    "MeshConfig",
    "TriangleMesh",
    "build_lods",
    "build_mesh",
    "extract_lods",
    "extract_mesh",
    "inspect_mesh",
    "save_mesh",
    "scale_to",
]
