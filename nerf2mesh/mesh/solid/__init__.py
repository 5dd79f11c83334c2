"""Meshes that are built exactly: named closed parts from plans and drawings."""
