"""Training of the network that finds a picture's object, on composites of meshes and shapes over drawn grounds."""
