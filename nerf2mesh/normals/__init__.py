"""Training of the network that tells the normals of what a cut-out picture shows, on views of meshes and scenes."""
