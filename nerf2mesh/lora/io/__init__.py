"""LoRA files: layer names, reading, writing, provenance manifests."""
