"""Batches: decoding, and what happens to them when partitions are revoked."""

from __future__ import annotations

from streamrec.events import Stock
from streamrec.events.topics import STOCK
from tests.workers.messages import message
from workers.transport.batch import RecordBatch, build_batch, pairs, values

NOW = 1_767_225_600_000
GOOD = b'{"quantity":1,"ts":1767225600000}'


def _batch() -> RecordBatch:
    return build_batch(
        [message(STOCK, 5, b"a", GOOD), message(STOCK, 6, b"b", b"{"), message(STOCK, 9, b"c", GOOD, partition=1)], NOW, 300_000
    )


def test_a_bad_record_is_an_outcome_and_its_offset_counts_like_any_other() -> None:
    batch = _batch()
    assert [(r.key, r.value, r.raw) for r in batch.records] == [(k, Stock(quantity=1, ts=NOW), GOOD) for k in ("a", "c")]
    assert [(r.offset, r.key, r.value) for r in batch.rejected] == [(6, b"b", b"{")]
    assert batch.rejected[0].reason.startswith("value: ")
    assert batch.next_offsets == {(STOCK, 0): 7, (STOCK, 1): 10}


def test_a_revoked_batch_that_was_not_started_gives_up_those_records_and_their_offsets() -> None:
    batch = _batch()
    assert batch.revoke({(STOCK, 0)}) is False
    assert batch.start()
    assert [r.key for r in batch.records] == ["c"]
    assert list(batch.rejected) == []
    assert batch.next_offsets == {(STOCK, 1): 10}


def test_a_batch_of_which_everything_was_revoked_has_nothing_to_do() -> None:
    batch = _batch()
    batch.revoke({(STOCK, 0), (STOCK, 1)})
    assert not batch.start()
    assert batch.next_offsets == {}


def test_a_started_batch_keeps_what_is_revoked_and_says_that_it_must_be_waited_for() -> None:
    batch = _batch()
    assert batch.start()
    assert batch.revoke({(STOCK, 1)})
    assert not batch.revoke({(STOCK, 7)})
    assert batch.next_offsets == {(STOCK, 0): 7, (STOCK, 1): 10}


def test_pairs_keep_tombstones_and_values_leave_them_out() -> None:
    batch = build_batch([message("items.catalog", 0, b"a", None), message("items.catalog", 1, b"b", None)], NOW, 0)
    assert pairs(batch.records, Stock) == [("a", None), ("b", None)]
    assert values(batch.records, Stock) == []
