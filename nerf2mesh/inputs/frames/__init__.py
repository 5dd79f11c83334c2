"""`input=frames`: a clip of one object, as frames of one size with their times, masks and cameras."""
