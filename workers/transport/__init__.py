"""Record batches between Kafka and the agents: consume, commit after the effect, dead letters, replicas of compacted topics."""
