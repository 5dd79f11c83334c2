"""Meshes that move: deformations in time, and skeletons."""
