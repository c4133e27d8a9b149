"""The gateway that lets older Kafka clients talk to the embedded broker."""

from __future__ import annotations

import socket

import pytest

from streamrec.config import KafkaSettings
from streamrec.errors import LocalStackError
from streamrec.local import LocalBroker
from streamrec.local.gateway import Gateway, without_tags
from streamrec.local.ports import HOST, free_port
from workers.transport.admin import end_offsets, ensure_topics
from workers.transport.producer import Producer

#: ApiVersions, version 3, correlation id 1, client "rdkafka", library "librdkafka" 2.0.2, as kcat of Debian 12 sends it.
REQUEST = bytes.fromhex("000000240012000300000001000772646b61666b61000b6c696272646b61666b6106322e302e3200")


def _ask(port: int) -> bytes:
    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.sendall(REQUEST)
        length = int.from_bytes(_exactly(connection, 4), "big")
        return _exactly(connection, length)


def _exactly(connection: socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n:
        block = connection.recv(n - len(data))
        assert block, "the connection was closed in the middle of an answer"
        data += block
    return data


@pytest.mark.integration
@pytest.mark.embedded_only
def test_an_old_client_gets_an_answer_without_tagged_fields_and_a_new_one_works_as_ever() -> None:
    with LocalBroker(old_clients=True) as broker:
        answer = _ask(broker.port)
        assert answer == without_tags(answer)
        kafka = KafkaSettings(bootstrap=broker.bootstrap)
        ensure_topics(kafka)
        with Producer(kafka) as producer:
            for n in range(100):
                producer.send("events.clicks", f"k{n}", b"x" * 10_000)
        assert sum(end_offsets(kafka, ["events.clicks"]).values()) == 100
        broker.restart()
        again = _ask(broker.port)
        assert again == without_tags(again)
        assert len(again) == len(answer)


def test_a_long_list_of_keys_is_counted_by_its_varint() -> None:
    keys = b"".join(n.to_bytes(2, "big") + bytes(5) for n in range(200))
    head, throttle = bytes(6), bytes(4)
    answer = head + bytes([201 & 0x7F | 0x80, 201 >> 7]) + keys + throttle
    assert without_tags(answer + b"\x02\x00\x01\x01\x01\x01\x09") == answer + b"\0"


def test_a_port_that_is_taken_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with pytest.raises(LocalStackError, match="choose another"):
            Gateway(taken.getsockname()[1], free_port()).start()
