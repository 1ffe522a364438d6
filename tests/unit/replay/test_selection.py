"""What is selected, how fast it goes, and what is left of it."""

import json

import pytest
from aiokafka import TopicPartition

from mediagate.errors import ConfigurationError
from mediagate.jobs import State
from mediagate.offsets import Position, Since
from mediagate.replay import Selection, Span, Tally
from mediagate.replay.options import Options, parse_replay_id
from mediagate.replay.run import SELECTION as AS_JSON

FIRST, SECOND = TopicPartition("images", 0), TopicPartition("images", 1)
REPLAYED = ["images", "videos"]
ID = "7af0f6aa-b37a-42a7-9f77-5b88d72c77e9"
SELECTION = Selection(
    (Span(FIRST, 10, 30), Span(SECOND, 0, 5)), frozenset({ID}), frozenset({State.QUEUED.value}), 100, True
)


def test_a_selection_comes_back_from_json() -> None:
    written = json.dumps(AS_JSON.dump_python(SELECTION, mode="json"))
    assert AS_JSON.validate_python(json.loads(written)) == SELECTION
    assert SELECTION.events == 25


def test_what_is_left_begins_where_the_run_came_to() -> None:
    left = SELECTION.left({"images:0": 30}, published=40)
    assert left.spans == (Span(FIRST, 30, 30), Span(SECOND, 0, 5))
    assert (left.events, left.limit, left.media_ids) == (5, 60, SELECTION.media_ids)


def test_no_names_are_all() -> None:
    everything = Selection(())
    assert everything.wants("x")
    assert everything.wants_state("unknown")
    assert SELECTION.wants(ID)
    assert not SELECTION.wants("x")
    assert SELECTION.wants_state("queued")
    assert not SELECTION.wants_state("published")


def test_what_is_left_out_is_counted_and_the_first_is_named() -> None:
    tally = Tally()
    for offset in (4, 9):
        tally.leave_out(SECOND, offset, "copy")
    assert (tally.reasons["copy"], tally.examples["copy"]) == (2, "images:1:4")
    assert tally.left_out == {SECOND: 2}


def test_options_are_read() -> None:
    wanted = Options(
        topic=["images:0,1"],
        from_datetime="1970-01-01T00:00:01",
        to_offset=9,
        media_id=[ID.upper()],
        state=["queued", "unknown"],
        limit=5,
    ).wanted(REPLAYED)
    assert wanted.partitions == {"images": frozenset({0, 1})}
    assert wanted.first == Since(1000)
    assert not isinstance(wanted.end, Since)
    assert wanted.end(FIRST, Position(None, 0, 20)) == 9
    assert wanted.media_ids == {ID}
    assert wanted.states == {"queued", "unknown"}
    assert (wanted.limit, wanted.rescan) == (5, False)


def test_partitions_are_those_of_each_topic() -> None:
    wanted = Options(topic=REPLAYED, partition=[1, 3], from_offset=0).wanted(REPLAYED)
    assert wanted.partitions == {"images": frozenset({1, 3}), "videos": frozenset({1, 3})}


WRONG = {
    "--topic: name at least one of images, videos": Options(from_offset=0),
    "--topic: media.approved cannot be replayed, only images, videos: copies would be other decisions and "
    "other news. `mediagate offsets reset` has a group read any topic again": Options(
        topic=["images", "media.approved"], from_offset=0
    ),
    "exactly one of --from-offset, --from-datetime, or --resume: given is none": Options(topic=["images"]),
    "--from-offset and --from-datetime exclude each other": Options(
        topic=["images"], from_offset=0, from_datetime="2030-01-01"
    ),
    "--to-offset and --to-datetime exclude each other": Options(
        topic=["images"], from_offset=0, to_offset=0, to_datetime="2030-01-01"
    ),
    "--from-datetime: 'noon' is no datetime such as 2025-01-31T18:30:00.000": Options(
        topic=["images"], from_datetime="noon"
    ),
    "--from-offset: -1 is below 0": Options(topic=["images"], from_offset=-1),
    "--partition: -1 is below 0": Options(topic=["images"], from_offset=0, partition=[-1]),
    "--partition and --topic TOPIC:0,1 exclude each other": Options(
        topic=["images:0"], from_offset=0, partition=[1]
    ),
    "--media-id: 'x' is no media_id": Options(topic=["images"], from_offset=0, media_id=["x"]),
    "--limit: 0 is below 1": Options(topic=["images"], from_offset=0, limit=0),
    "--state: 'gone' is none of awaiting_upload, queued, approved, rejected, published, quarantined, "
    "needs_review, unscannable, expired, unknown": Options(topic=["images"], from_offset=0, state=["gone"]),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_option_is_named(message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        WRONG[message].wanted(REPLAYED)
    assert str(raised.value) == message


def test_what_is_given_is_known_by_its_option() -> None:
    assert Options().given == []
    given = Options(topic=["images"], from_offset=0, force_rescan=True).given
    assert given == ["--topic", "--from-offset", "--force-rescan"]


def test_a_replays_id_is_one() -> None:
    assert str(parse_replay_id(ID)) == ID
    with pytest.raises(ConfigurationError, match="--resume: 'x' is no replay's id"):
        parse_replay_id("x")
