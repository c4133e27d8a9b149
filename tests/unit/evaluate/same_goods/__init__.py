"""Questions about the same goods and their figures."""
