"""What operators are told of a job, and what can be done to it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from mediagate.errors import ConfigurationError
from mediagate.events import OverrideVerdict
from mediagate.job_admin import Job, Place
from mediagate.job_admin.orders import Asked, override, retry
from mediagate.job_admin.page import age, page
from mediagate.jobs import State
from mediagate.topics import load_topics
from tests.unit.test_docs import ROOT

TOPICS = load_topics(ROOT / "topics.yaml")
NOW = datetime(2030, 1, 1, tzinfo=UTC)
MEDIA_ID = UUID(int=7)
ORDER_ID = UUID(int=8)


def job(state: State, **columns: Any) -> Job:
    row = dict.fromkeys(
        ("etag", "md5", "decision", "override", "ended_by", "event_published_at", "last_attempt_at"), None
    )
    return Job(
        row
        | dict.fromkeys(("queued_at", "decided_at", "finished_at"), NOW)
        | {"media_id": MEDIA_ID, "state": state, "since": NOW, "created_at": NOW, "attempts": 1}
        | {"bucket": "media-temp", "key": "uploads/7", "source_bucket": None, "destination_bucket": None}
        | {"user_id": "u", "file_name": "a.png", "file_size": 1, "mime_type": "image/png", "sha256": "0" * 64}
        | {"linked_to_type": "post", "linked_to_id": "1", "checksum_verified": True}
        | columns
    )


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3_599, "59 min 59 s"),
        (3_601, "1 h"),
        (90_000, "1 d 1 h"),
        (86_460, "1 d"),
    ],
)
def test_an_age_has_its_two_largest_units(seconds: float, shown: str) -> None:
    assert age(timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize(
    ("state", "columns", "place"),
    [
        (State.QUEUED, {"etag": '"1"'}, Place("media-temp", "uploads/7", '"1"')),
        (State.PUBLISHED, {"item_bucket": "posts", "item_key": "a.png"}, Place("posts", "a.png", None)),
        (State.QUARANTINED, {"report_bucket": "q", "report_key": "7"}, Place("q", "7", None)),
        (
            State.UNSCANNABLE,
            {"source_bucket": "q", "source_key": "7", "source_etag": '"2"'},
            Place("q", "7", '"2"'),
        ),
    ],
)
def test_an_object_stands_where_the_records_say(state: State, columns: dict[str, Any], place: Place) -> None:
    assert job(state, **columns).place == place


def test_why_a_job_is_where_it_is() -> None:
    decided = {"decision": {"reasons": ["nsfw 0.9", "blocked"]}}
    override = {"ended_by": {"id": "1", "reason": "an error"}}

    assert job(State.QUEUED).why == "its event was not published so far"
    assert job(State.QUEUED, event_published_at=NOW).why == "no decision so far"
    assert job(State.NEEDS_REVIEW, **decided).why == "nsfw 0.9; blocked"
    assert job(State.UNSCANNABLE, **decided, ended_by={"id": "1", "reason": None}).why == "nsfw 0.9; blocked"
    assert job(State.UNSCANNABLE, **decided, **override).why == "override: an error"
    assert job(State.REJECTED, **decided, **override).why == "decided, and not carried out yet"


def test_a_human_is_not_asked_to_scan_again_what_they_decided() -> None:
    decided = job(State.UNSCANNABLE, etag='"1"', override={"verdict": "reject"})

    with pytest.raises(ConfigurationError, match="a human has decided on it"):
        retry(decided, TOPICS, ORDER_ID, NOW)


@pytest.mark.parametrize("state", [State.AWAITING_UPLOAD, State.EXPIRED])
@pytest.mark.parametrize("verdict", list(OverrideVerdict))
def test_nothing_is_overridden_that_was_never_uploaded(state: State, verdict: OverrideVerdict) -> None:
    with pytest.raises(ConfigurationError, match=f"the upload is {state}: there is nothing to {verdict}"):
        override(job(state), TOPICS, Asked(verdict, "x", "ana"), ORDER_ID, NOW)


def test_two_orders_are_two_events_and_one_is_one() -> None:
    asked = Asked(OverrideVerdict.REJECT, "x", "ana")
    first, again, other = (
        override(job(State.QUEUED), TOPICS, asked, order_id, NOW)
        for order_id in (ORDER_ID, ORDER_ID, MEDIA_ID)
    )

    assert first.event_id == again.event_id != other.event_id
    assert first.record == again.record


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_page(state: State) -> None:
    places = {"item_bucket": "p", "item_key": "a", "report_bucket": "q", "report_key": "7"}

    shown = page(job(state, **places), [], [], NOW + timedelta(minutes=1))

    assert f"state       {state} for 1 min\n" in shown
    assert "history\n" in shown
