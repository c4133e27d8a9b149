"""Faust agents, the transport between them and Kafka, and the composition root. Thin on purpose: decisions live in ``streamrec``."""
