"""Faust agents, the transport between them and Kafka, and the composition root; decisions live in ``streamrec``."""
