"""Training of the network that tells a picture's elevation and field of view, on views of meshes and scenes."""
