"""A Kafka-compatible broker, a Redis-compatible server and workers as child processes; no docker, and a JVM only for Apache Kafka.

For demos, tests and benches. Every child dies with its parent, however the parent dies, and leaves no folder behind.
"""

from streamrec.local.broker import LocalBroker
from streamrec.local.kafka import LocalKafka
from streamrec.local.kafka_security import KafkaSecurity
from streamrec.local.redis import LocalRedis
from streamrec.local.stack import LocalStack
from streamrec.local.worker import WorkerProcess

__all__ = ["KafkaSecurity", "LocalBroker", "LocalKafka", "LocalRedis", "LocalStack", "WorkerProcess"]
