"""A small network that tells from which height, and through which lens, a picture was taken; `nerf2mesh.viewpoint`
trains it."""
