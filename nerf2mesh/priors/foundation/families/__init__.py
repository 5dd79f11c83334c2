"""One file per family of published diffusion models."""
