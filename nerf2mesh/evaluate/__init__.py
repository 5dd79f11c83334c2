"""Measuring: metrics as pure functions, named protocols, trivial baselines, tables. See each module's text."""
