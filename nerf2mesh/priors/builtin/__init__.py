"""The built-in prior: a multi-view denoiser, its weights, and its training."""
