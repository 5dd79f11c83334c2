"""Mesh files: GLB, OBJ, PLY, STL, USDZ, FBX, Alembic; reading with trimesh."""
