"""The artist's second word: a round that starts from a mesh or a run and changes a region of it."""
