"""Small helpers that know nothing of meshes, fields or priors."""
