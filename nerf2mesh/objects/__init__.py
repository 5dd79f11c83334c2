"""Meshes of others as data: a folder of files read for training and measuring, and views drawn of them."""
