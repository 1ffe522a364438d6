"""What must be true once all is quiet: every way in which what was accepted is not where it belongs; pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from mediagate.dead_letters import PREFIX
from mediagate.events import EventType, event_id
from mediagate.jobs import TERMINAL, State

TP = tuple[str, int]
Headers = Mapping[str, bytes]
TIME = "ce_time"
CANARIES = "canary/"
WAITING = frozenset({State.NEEDS_REVIEW.value, State.UNSCANNABLE.value})
"""The object of such a row stays where it was uploaded to."""
TABLES: Mapping[State, str] = {State.PUBLISHED: "media_items", State.QUARANTINED: "system_reports"}
NEWS: Mapping[State, EventType] = {
    State.PUBLISHED: EventType.PUBLISHED,
    State.QUARANTINED: EventType.QUARANTINED,
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """An upload, and where it must end."""

    media_id: str
    sha256: str | None
    end: State


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for an upload that the gateway answered; without `media_id` where it was refused."""

    key: str
    body: str
    media_id: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def id(self) -> str:
        """`ce_id`, or nothing."""
        return self.headers.get("ce_id", b"").decode()

    @property
    def media_id(self) -> str:
        """The key."""
        return (self.key or b"").decode()

    @property
    def content(self) -> tuple[object, ...]:
        """All that every repetition of it must have, too."""
        others = {name: value for name, value in self.headers.items() if name != TIME}
        return self.topic, self.partition, self.key, self.value, frozenset(others.items())


@dataclass(frozen=True, slots=True)
class Moment:
    """What the groups had committed, and thereafter how long the topics were."""

    committed: Mapping[TP, int]
    ends: Mapping[TP, int]


@dataclass(frozen=True)
class Layout:
    """Names of topics and buckets by their part."""

    uploads: frozenset[str]
    decisions: frozenset[str]
    news: frozenset[str]
    dead_letters: str
    temp_bucket: str


@dataclass
class Evidence:
    """All that Kafka, PostgreSQL and S3 say; rows as dictionaries, objects as their bytes' SHA-256."""

    layout: Layout
    accepted: Sequence[Accepted]
    poison: Sequence[bytes] = ()
    records: Sequence[Record] = ()
    jobs: Sequence[Mapping[str, Any]] = ()
    items: Sequence[Mapping[str, Any]] = ()
    reports: Sequence[Mapping[str, Any]] = ()
    objects: Mapping[tuple[str, str], str] = field(default_factory=dict)
    moments: Sequence[Moment] = ()
    asked: Sequence[Asked] = ()

    def of(self, topics: frozenset[str]) -> list[Record]:
        """The records of these topics, oldest first within a partition."""
        return [record for record in self.records if record.topic in topics]


def violations(evidence: Evidence) -> list[str]:
    """One line each; none where every promise was kept."""
    checks = (
        _ends,
        _effects,
        _places,
        _decisions,
        _news,
        _offsets,
        _effects_before_offsets,
        _dead_letters,
        _keys,
    )
    return [f"{check.__name__[1:]}: {line}" for check in checks for line in check(evidence)]


def _ends(evidence: Evidence) -> Iterator[str]:
    """accepted = published + quarantined + needs_review + unscannable + expired, each as the script says."""
    jobs = {str(job["media_id"]): job for job in evidence.jobs}
    wanted = {each.media_id: each.end for each in evidence.accepted}
    for media_id, end in wanted.items():
        job = jobs.get(media_id, {"state": "unknown"})
        if job["state"] != end:
            yield f"{media_id} is {job['state']}, and must be {end}: {job.get('decision')}"
    for media_id in jobs.keys() - wanted.keys():
        yield f"{media_id} was never accepted"


def _effects(evidence: Evidence) -> Iterator[str]:
    """One row of its kind for each that is published or quarantined, none of the other kind."""
    rows = {"media_items": evidence.items, "system_reports": evidence.reports}
    for state, table in TABLES.items():
        found = Counter(str(row["media_id"]) for row in rows[table])
        wanted = {str(job["media_id"]) for job in evidence.jobs if job["state"] == state}
        for media_id in wanted | found.keys():
            if found[media_id] != (media_id in wanted):
                yield f"{media_id} has {found[media_id]} rows in {table}"


def _places(evidence: Evidence) -> Iterator[str]:
    """One object each, where its row says, of the accepted bytes; and no other object anywhere."""
    accepted = {each.media_id: each.sha256 for each in evidence.accepted}
    rows = {str(row["media_id"]): row for row in (*evidence.items, *evidence.reports)}
    homes: dict[tuple[str, str], str] = {}
    for job in evidence.jobs:
        media_id = str(job["media_id"])
        if job["state"] in WAITING:
            homes[job["bucket"], job["key"]] = media_id
        elif media_id in rows:
            row = rows[media_id]
            homes[row["bucket"], row["key"]] = media_id
    for home, media_id in homes.items():
        if home not in evidence.objects:
            yield f"{media_id}: nothing stands at {'/'.join(home)}"
        elif evidence.objects[home] != accepted.get(media_id):
            yield f"{media_id}: other bytes stand at {'/'.join(home)}"
    for place in evidence.objects.keys() - homes.keys():
        bucket, key = place
        if not (bucket == evidence.layout.temp_bucket and key.startswith(CANARIES)):
            yield f"an orphan stands at {'/'.join(place)}"


def _decisions(evidence: Evidence) -> Iterator[str]:
    """Every decision follows from an upload's event, and its id from that; repetitions are identical."""
    causes = {(record.media_id, record.id) for record in evidence.of(evidence.layout.uploads)}
    decisions = evidence.of(evidence.layout.decisions)
    for record in decisions:
        cause = record.headers.get("ce_causationid", b"").decode()
        if (record.media_id, cause) not in causes:
            yield f"{_name(record)} has no cause"
        kind = EventType(record.headers["ce_type"].decode())
        if record.id != event_id(kind, UUID(record.media_id), cause):
            yield f"{_name(record)} has an id of chance"
    yield from _repetitions(decisions)


def _news(evidence: Evidence) -> Iterator[str]:
    """One id of published or quarantined for each that is, and nothing of any other."""
    told: dict[str, set[tuple[str, str]]] = {}
    records = evidence.of(evidence.layout.news)
    for record in records:
        told.setdefault(record.media_id, set()).add((record.headers["ce_type"].decode(), record.id))
    for job in evidence.jobs:
        media_id, kind = str(job["media_id"]), NEWS.get(job["state"])
        wanted = set() if kind is None else {(kind.value, event_id(kind, job["media_id"], "final"))}
        if told.pop(media_id, set()) != wanted:
            yield f"{media_id} is {job['state']}, and other news was told"
    for media_id in told:
        yield f"{media_id} is unknown, and news was told"
    yield from _repetitions(records)


def _repetitions(records: Sequence[Record]) -> Iterator[str]:
    contents: dict[str, set[tuple[object, ...]]] = {}
    for record in records:
        contents.setdefault(record.id, set()).add(record.content)
    for each, different in contents.items():
        if len(different) > 1:
            yield f"{each} was emitted with {len(different)} contents"


def _offsets(evidence: Evidence) -> Iterator[str]:
    """At no moment had the streams' group committed an event that the broker had no answer to."""
    events = evidence.of(evidence.layout.uploads)
    answers: dict[tuple[object, ...], list[Record]] = {}
    for record in evidence.of(evidence.layout.decisions):
        answers.setdefault((record.headers.get("ce_causationid", b"").decode(),), []).append(record)
    for record in evidence.of(frozenset({evidence.layout.dead_letters})):
        answers.setdefault(_origin(record), []).append(record)
    for event in events:
        committed = _first_committed(event, evidence.moments)
        if committed is not None:
            number, moment = committed
            given = [
                *answers.get((event.id,), []),
                *answers.get((event.topic, event.partition, event.offset), []),
            ]
            if not any(_was_there(answer, moment) for answer in given):
                yield f"{_name(event)} was committed at moment {number} and not answered"


def _effects_before_offsets(evidence: Evidence) -> Iterator[str]:
    """What the sinks' group has committed in the end was carried out."""
    if not evidence.moments:
        return
    last = evidence.moments[-1]
    ended = {str(job["media_id"]) for job in evidence.jobs if job["state"] in TERMINAL}
    for record in evidence.of(evidence.layout.decisions):
        committed = last.committed.get((record.topic, record.partition), 0)
        if record.offset < committed and record.media_id not in ended:
            yield f"{_name(record)} was committed and not carried out"


def _dead_letters(evidence: Evidence) -> Iterator[str]:
    """Poison, byte for byte, and nothing else."""
    letters = evidence.of(frozenset({evidence.layout.dead_letters}))
    for value in set(evidence.poison) - {letter.value for letter in letters}:
        yield f"{value!r} has no dead letter"
    for letter in letters:
        if letter.value not in evidence.poison:
            yield f"{_name(letter)} is no poison: {letter.headers.get(PREFIX + 'error', b'').decode()}"


def _first_committed(event: Record, moments: Sequence[Moment]) -> tuple[int, Moment] | None:
    """What was answered then is answered at every later moment: topics only grow."""
    tp = event.topic, event.partition
    at = (each for each in enumerate(moments) if event.offset < each[1].committed.get(tp, 0))
    return next(at, None)


def _keys(evidence: Evidence) -> Iterator[str]:
    """One Idempotency-Key, one upload of one body, however often it was asked for."""
    made: dict[str, set[tuple[str, str]]] = {}
    for asked in evidence.asked:
        if asked.media_id is not None:
            made.setdefault(asked.key, set()).add((asked.body, asked.media_id))
    for key, different in made.items():
        if len(different) > 1:
            yield f"key {key} made {len(different)} uploads"


def _was_there(answer: Record, moment: Moment) -> bool:
    return answer.offset < moment.ends.get((answer.topic, answer.partition), 0)


def _origin(letter: Record) -> tuple[object, ...]:
    said = [letter.headers.get(PREFIX + name, b"").decode() for name in ("topic", "partition", "offset")]
    return said[0], int(said[1] or -1), int(said[2] or -1)


def _name(record: Record) -> str:
    return f"{record.topic}:{record.partition}:{record.offset}"
