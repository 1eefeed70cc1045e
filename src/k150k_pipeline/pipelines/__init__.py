"""The pipelines: one package each, nodes and their wiring."""
