"""Texture: unwrapping, baking, colors of the given pictures, tangent-space normal maps."""
