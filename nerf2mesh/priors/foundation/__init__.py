"""Priors made of published diffusion models: where their files are, their text encoders, their families."""
