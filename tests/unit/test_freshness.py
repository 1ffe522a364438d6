"""What was clear a moment ago is not asked for again; what was not, is."""

from datetime import UTC, datetime, timedelta

from mediagate.freshness import FRESH, Freshness

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_what_was_clear_is_believed_for_a_second() -> None:
    now = NOW
    freshness = Freshness(lambda: now)
    assert not freshness.is_clear("image")
    freshness.note("image", clear=True)
    assert freshness.is_clear("image")
    assert not freshness.is_clear("video")
    now = NOW + FRESH
    assert not freshness.is_clear("image")


def test_what_is_engaged_is_never_believed_to_be_clear() -> None:
    freshness = Freshness(lambda: NOW)
    freshness.note("image", clear=True)
    freshness.note("image", clear=False)
    assert not freshness.is_clear("image")


def test_a_clock_that_is_set_back_makes_nothing_clear() -> None:
    now = NOW
    freshness = Freshness(lambda: now)
    freshness.note("image", clear=True)
    now = NOW - timedelta(hours=1)
    assert not freshness.is_clear("image")
