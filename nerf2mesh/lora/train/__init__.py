"""Training of LoRA adapters: style adapters, subject adapters, DreamBooth."""
