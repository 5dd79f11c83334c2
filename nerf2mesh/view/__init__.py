"""Looking at fields and meshes in a browser: during a run, and afterwards. Needs the extra `viewer` (viser)."""
