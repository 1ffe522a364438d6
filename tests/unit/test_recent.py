"""Shares of the last outcomes."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.events import Outcome
from mediagate.recent import Recent

A, R, N, U = Outcome.APPROVED, Outcome.REJECTED, Outcome.NEEDS_REVIEW, Outcome.UNSCANNABLE


@pytest.mark.parametrize(
    ("outcomes", "outcome", "band", "share"),
    [
        ([A, A, A, A], A, (0.5, 0.9), 1.0),
        ([A, A, A, R], A, (0.5, 0.9), None),
        ([A, R, N, U], A, (0.5, 0.9), 0.25),
        ([A, R, N, U], A, (0.25, 0.25), None),
        ([R, R, R, A], R, (0.0, 0.5), 0.75),
        ([A, A, A, A], R, (0.0, 0.5), None),
        ([A, A, A, A], R, (0.1, 0.5), 0.0),
    ],
)
def test_a_share_outside_its_band_is_unusual(
    outcomes: Sequence[Outcome], outcome: Outcome, band: tuple[float, float], share: float | None
) -> None:
    assert Recent[Outcome](4).followed_by(outcomes).unusual(outcome, band) == share


def test_nothing_is_unusual_before_there_are_enough() -> None:
    assert Recent[Outcome](4).followed_by([R, R, R]).unusual(R, (0.0, 0.0)) is None


@given(st.lists(st.lists(st.sampled_from(Outcome))), st.integers(1, 20))
def test_the_newest_outcomes_count(windows: list[list[Outcome]], size: int) -> None:
    recent = Recent[Outcome](size)
    for window in windows:
        recent = recent.followed_by(window)
    every = [outcome for window in windows for outcome in window]
    assert list(recent.outcomes) == every[-size:]
