"""The Hydra configs, packaged as `nerf2mesh.configs`."""
