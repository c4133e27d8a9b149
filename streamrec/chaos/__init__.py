"""Faults at random against the live system, and an auditor who compares what is left in Redis with what was published."""
