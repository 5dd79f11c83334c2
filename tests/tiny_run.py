"""The smallest run through the whole chain.

The tiny preset keeps the default smoothing: a lattice of 200^3 nodes for a mesh of 24^3, half of the run's time.
"""

TINY = ("preset=tiny", "mesh.smooth_radius=0.1")
PLAIN = (*TINY, "mesh=vertex_colors", "report=quiet")
"""Nothing but the mesh, without a texture."""
