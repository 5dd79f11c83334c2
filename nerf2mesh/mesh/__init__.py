"""From a field to a mesh file: extract, repair, unwrap and bake, export, inspect."""

from nerf2mesh.mesh.triangle_mesh import TriangleMesh

__all__ = ["TriangleMesh"]
