"""What is read and written without the CloudEvents library is what the library reads and writes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from mediagate.binary_mode import KNOWN, Attributes, Header, read_attributes, write_attributes

BODY = b"{}"
NOW = datetime(2030, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
PLAIN: dict[str, bytes] = {
    "ce_id": b"1",
    "ce_type": b"mediagate.approved.v1",
    "ce_source": b"/x",
    "ce_subject": b"s",
    "content-type": b"application/json",
    "ce_specversion": b"1.0",
    "ce_time": b"2030-01-02T03:04:05.678Z",
    "ce_causationid": b"0",
}

texts = st.text(min_size=1, max_size=20)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=zones) | st.datetimes(timezones=st.just(UTC))
events = st.builds(Attributes, texts, texts, texts, moments, st.none() | texts)
odd_values = st.sampled_from([b"", b"\xff", b"0.3", b"text/plain", b"2030-13-01T00:00:00Z", b"2030-01-01"])
odd_headers = st.dictionaries(
    st.sampled_from([*sorted(KNOWN), "ce_dataschema", "CE_ID", "ce_", "ce_a-b", "Content-Type", "other"]),
    odd_values | st.binary(max_size=8),
    max_size=3,
)


def by_library(headers: Sequence[Header]) -> BaseCloudEvent:
    return from_binary(KafkaMessage(dict(headers), None, BODY), JSONFormat())


def attributes_of(event: BaseCloudEvent) -> Attributes:
    return Attributes(
        event.get_id(),
        event.get_type(),
        event.get_source(),
        event.get_time(),
        event.get_extension("causationid"),
    )


@given(events, texts)
def test_headers_are_those_that_the_library_writes(event: Attributes, subject: str) -> None:
    attributes = {
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "subject": subject,
        "datacontenttype": "application/json",
        "specversion": "1.0",
        "time": event.time,
    }
    if event.causation_id is not None:
        attributes["causationid"] = event.causation_id
    written = to_binary(CloudEvent(attributes, BODY), JSONFormat()).headers

    assert write_attributes(event, subject) == list(written.items())


@given(events, texts)
def test_what_was_written_is_read(event: Attributes, subject: str) -> None:
    headers = write_attributes(event, subject)
    found = read_attributes(headers)
    assert found is None or found == event
    assert attributes_of(by_library(headers)) == event


@given(odd_headers, st.sets(st.sampled_from(sorted(PLAIN)), max_size=2))
def test_whatever_is_read_is_what_the_library_reads(odd: dict[str, bytes], missing: set[str]) -> None:
    kept = {name: content for name, content in PLAIN.items() if name not in missing}
    headers = list((kept | odd).items())
    found = read_attributes(headers)
    if found is not None:
        ours = [(name, content) for name, content in headers if name != "other"]
        assert attributes_of(by_library(ours)) == found


def test_plain_headers_take_no_library() -> None:
    others = [("traceparent", b"\xff"), ("other", b"")]
    assert read_attributes([*PLAIN.items(), *others]) == Attributes(
        "1", "mediagate.approved.v1", "/x", NOW, "0"
    )


@pytest.mark.parametrize("name", sorted(PLAIN.keys() - {"ce_subject", "ce_causationid"}))
def test_what_lacks_an_attribute_is_left_to_the_library(name: str) -> None:
    assert read_attributes([header for header in PLAIN.items() if header[0] != name]) is None


@pytest.mark.parametrize("changed", [{"ce_id": b""}, {"ce_time": b"2030-01-02T03:04:05"}, {"CE_ID": b"2"}])
def test_what_the_library_may_refuse_is_left_to_it(changed: dict[str, bytes]) -> None:
    assert read_attributes(list((PLAIN | changed).items())) is None


def test_the_oracle_refuses() -> None:
    with pytest.raises(CloudEventValidationError):
        by_library(list((PLAIN | {"ce_id": b""}).items()))
