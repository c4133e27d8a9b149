"""Declared models: catalogue, sources, hub, graphs, check."""
