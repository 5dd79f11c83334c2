"""`make campaign`: a tiny fit and a small sweep, disturbed at random for a bounded time; see `__main__`."""
