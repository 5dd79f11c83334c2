"""Mesh files: GLB, OBJ, PLY, STL, USDZ, FBX; reading with trimesh."""
