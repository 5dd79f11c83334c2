"""A small network that tells the object of a picture from its background; `nerf2mesh.segmentation` trains it."""
