"""A small network that tells the normals of what a cut-out picture shows; `nerf2mesh.normals` trains it."""
