"""From Kafka to a handler: ours beside the Python engines. Empty, because the peers' processes import from it too."""
