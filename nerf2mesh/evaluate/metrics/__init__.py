"""Metrics as pure functions on meshes, images and point clouds."""
