"""What is taken up from a snapshot is what was written, and goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.catalogue.store import Fact
from streamrec.embedding import pack_vectors
from streamrec.errors import SnapshotError
from streamrec.events import ItemNeighbours, ItemVector, Payload
from streamrec.events.messages import Neighbour
from streamrec.observe import Memory
from streamrec.recommender import Knowledge
from streamrec.snapshot import SnapshotFolder, load
from streamrec.snapshot.files import restore
from tests.unit.catalogue.test_table import FACTS
from tests.unit.recommender.rooms import ENCODER, T0, Room
from tests.unit.snapshot.parts import OFFSETS, ORIGIN, empty, fill, known, write

HOUR = 3_600_000


def _again(knowledge: Knowledge) -> Knowledge:
    copy = empty()
    with TemporaryDirectory() as folder:
        fill(knowledge)(Path(folder))
        restore(copy, Path(folder))
    return copy


def _neighbours(*ids: str, popularity: float = 1.0) -> ItemNeighbours:
    met = tuple(Neighbour(item_id=item_id, together=1.0 + n, bought=float(n % 2)) for n, item_id in enumerate(ids))
    total = 1.5 * sum(neighbour.together for neighbour in met)
    visitors = 9.0 * popularity
    return ItemNeighbours(as_of=T0, popularity=popularity, neighbours=met, total=total, visitors=visitors, again=0.25, shown=3.0)


IDS = st.sampled_from("abcd")
RECORDS = st.none() | st.builds(
    lambda ids, heat: _neighbours(*ids, popularity=heat), st.lists(IDS, unique=True), st.floats(0.1, 9.0)
)


@given(
    st.lists(st.tuples(IDS, FACTS), max_size=14),
    st.lists(st.tuples(IDS, RECORDS), max_size=6),
    st.lists(st.tuples(IDS, FACTS), max_size=6),
)
def test_any_state_comes_back_and_goes_on_like_the_original(
    before: list[tuple[str, tuple[str, Payload | None]]],
    records: list[tuple[str, ItemNeighbours | None]],
    after: list[tuple[str, tuple[str, Payload | None]]],
) -> None:
    original = empty()
    original.take_facts([Fact(topic, item_id, payload, n) for n, (item_id, (topic, payload)) in enumerate(before)])
    original.take_neighbours(records)
    copy = _again(original)
    assert known(copy) == known(original)
    assert (copy.items.version, copy.items.shown_version) == (original.items.version, original.items.shown_version)
    more = [Fact(topic, item_id, payload, 100 + n) for n, (item_id, (topic, payload)) in enumerate(after)]
    for state in (original, copy):
        state.take_facts(more)
        state.take_neighbours([("a", _neighbours("b", "new")), ("new", _neighbours("a"))])
    assert known(copy) == known(original)


def test_vectors_blocks_and_answers_come_back() -> None:
    room = Room(12)
    room.stock("i3", 0)
    room.stock("i4", 0)
    copy = _again(room.knowledge)
    assert known(copy) == known(room.knowledge)
    query = room.knowledge.index.vectors([0])
    ours, theirs = (state.index.search(query, 12)[0].tolist() for state in (room.knowledge, copy))
    assert ours == theirs
    assert not {3, 4} & set(ours[0])
    assert copy.replica.model_digest == room.knowledge.replica.model_digest


def test_a_late_vector_is_still_known_to_be_late() -> None:
    copy = _again(Room(3).knowledge)
    late, newer = (
        ItemVector(content_digest="c", model_digest=ENCODER.digest, dim=16, vector=vector, ts=ts)
        for vector, ts in zip(pack_vectors(ENCODER.encode(["older", "newer"])), (T0 - 1, T0 + 1), strict=True)
    )
    assert copy.take_vectors([("i0", late)]).tolist() == []
    assert copy.take_vectors([("i0", newer)]).tolist() == [0]


def _load(folder: SnapshotFolder, observer: Memory, now_ms: int = T0) -> tuple[int, int]:
    loaded = load(folder, empty, ORIGIN, now_ms=now_ms, max_age_ms=HOUR, observer=observer)
    assert loaded.next_offsets == (OFFSETS if loaded.made_at else {})
    return len(loaded.knowledge.items), loaded.made_at


def test_the_newest_that_can_be_trusted_is_taken_up_and_every_refusal_is_counted(tmp_path: Path) -> None:
    folder, observer = SnapshotFolder(tmp_path, keep=3), Memory()
    assert _load(folder, observer) == (0, 0)
    write(folder, Room(2).knowledge, T0 - 2)
    write(folder, Room(3).knowledge, T0 - 1)
    newest = write(folder, Room(4).knowledge, T0)
    assert _load(folder, observer) == (4, T0)
    (newest / "items.msgpack").write_bytes(b"")
    assert _load(folder, observer) == (3, T0 - 1)
    assert _load(folder, observer, T0 + 2 * HOUR) == (0, 0)
    assert dict(observer.counts) == {
        ("snapshots", "restored"): 2,
        ("snapshots", "refused_torn"): 1,
        ("snapshots", "refused_age"): 3,
    }


def test_items_whose_lists_were_due_are_handed_on(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path)
    write(folder, Room(3).knowledge)
    assert load(folder, empty, ORIGIN, now_ms=T0, max_age_ms=HOUR, observer=Memory()).due.tolist() == [1, 0]


@pytest.mark.parametrize("name", ["items-price.npy", "neighbours-ends.npy", "neighbours-places.npy"])
def test_files_that_do_not_hold_together_are_refused_and_leave_an_error_that_says_so(tmp_path: Path, name: str) -> None:
    fill(Room(3).knowledge)(tmp_path)
    np.save(tmp_path / name, np.zeros((2, 2, 2), "M8[s]"))
    with pytest.raises(SnapshotError, match="cannot be taken up"):
        restore(empty(), tmp_path)


def test_more_items_than_the_settings_allow_are_refused(tmp_path: Path) -> None:
    fill(Room(3).knowledge)(tmp_path)
    small = empty()
    small.items._max_items = 2
    with pytest.raises(SnapshotError, match="do not fit"):
        restore(small, tmp_path)
