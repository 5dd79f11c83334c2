"""One run from a picture to a mesh: the run folder, the subject adapter, the loop, what a run leaves behind."""
