"""Evaluation protocols: which objects, which views, which conventions."""
