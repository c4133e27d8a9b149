"""Timestamps become the present, campaigns keep their ends, and events flow no faster than asked."""

from __future__ import annotations

from streamrec.demo.data import Record
from streamrec.demo.pacing import MIN_RATE, TARGET_DELAY_MS, Pacer, Rebaser
from streamrec.events import Campaign, Click, Targets
from streamrec.events.topics import CAMPAIGNS, CATALOG, CLICKS

NOW = 1_767_225_600_000
DAY = 86_400_000


def campaign(starts_at: int, ends_at: int) -> Campaign:
    return Campaign(action="boost", targets=Targets(items=("a",)), starts_at=starts_at, ends_at=ends_at, ts=starts_at)


def test_an_event_happens_at_the_moment_of_its_publishing_and_is_otherwise_unchanged() -> None:
    before = Click(item_id="a", ts=10**12, event_id="e1")
    record = Rebaser().rebase(Record(10**12, CLICKS, "u", before), NOW)
    assert record == Record(NOW, CLICKS, "u", Click(item_id="a", ts=NOW, event_id="e1"))


def test_a_tombstone_stays_one() -> None:
    assert Rebaser().rebase(Record(10**12, CATALOG, "a", None), NOW) == Record(NOW, CATALOG, "a", None)


def test_a_campaign_is_in_force_from_now_and_cancelled_when_the_data_pass_its_end() -> None:
    rebaser, at = Rebaser(), 10**12
    value = rebaser.rebase(Record(at, CAMPAIGNS, "c", campaign(at - DAY, at + DAY)), NOW).value
    assert isinstance(value, Campaign)
    assert (value.ts, value.starts_at, value.ends_at) == (NOW, NOW - DAY, NOW + DAY)
    assert list(rebaser.due(at + DAY - 1)) == []
    assert list(rebaser.due(at + DAY)) == [Record(at + DAY, CAMPAIGNS, "c", None)]
    assert list(rebaser.due(at + 9 * DAY)) == []


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_events_leave_at_the_wanted_rate() -> None:
    time = FakeTime()
    pacer = Pacer(50.0, time, time.sleep)
    for _ in range(101):
        pacer.wait()
    assert abs(time.now - 102.0) < 0.05


def test_lost_time_is_not_caught_up_by_a_long_burst() -> None:
    time = FakeTime()
    pacer = Pacer(50.0, time, time.sleep)
    pacer.wait()
    time.now += 10.0
    at_once, began = 0, time.now
    while time.now == began:
        pacer.wait()
        at_once += 1
    assert at_once <= 7


def test_long_delays_slow_the_replay_down_to_a_floor_and_short_ones_bring_it_back() -> None:
    time = FakeTime()
    pacer = Pacer(150.0, time, time.sleep)
    for _ in range(50):
        pacer.observe(TARGET_DELAY_MS * 2)
    assert pacer.rate == MIN_RATE
    pacer.observe(TARGET_DELAY_MS * 0.8)
    assert pacer.rate == MIN_RATE
    for _ in range(200):
        pacer.observe(10.0)
    assert pacer.rate == 150.0
    assert pacer.lowest == MIN_RATE


def test_a_wanted_rate_below_the_floor_is_kept() -> None:
    time = FakeTime()
    pacer = Pacer(5.0, time, time.sleep)
    pacer.observe(TARGET_DELAY_MS * 2)
    assert pacer.rate == 5.0
