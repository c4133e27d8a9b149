"""Experiments: who is in which variant, and what impressions, clicks and orders say about each. Knows no Kafka."""
