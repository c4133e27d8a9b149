"""The parts of the freshness bench."""
