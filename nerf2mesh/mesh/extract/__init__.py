"""From a density field to raw triangles: threshold, level set, marching cubes, projection onto the surface."""
