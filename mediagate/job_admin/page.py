"""All that there is to say of one job, as lines of text; pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mediagate.datetimes import shown_time
from mediagate.dead_letter_queue.redrive import Found
from mediagate.events import Decision, EventType
from mediagate.job_admin import Job
from mediagate.jobs import State, news_id
from mediagate.operator_actions import Action, OperatorAction
from mediagate.printable import printable, shortened

LONGEST = 300
_NEWS = {State.PUBLISHED: EventType.PUBLISHED, State.QUARANTINED: EventType.QUARANTINED}
_ADVICE = {
    State.AWAITING_UPLOAD: "recovery looks for the object, and lets the job expire (UPLOAD_EXPIRES_AFTER)",
    State.QUEUED: "recovery sends its event again (RECOVERY_COOLDOWN); sooner: `mediagate jobs retry`",
    State.APPROVED: "see `mediagate lag` and the sinks' log; `mediagate jobs retry` sends its decision again",
    State.REJECTED: "see `mediagate lag` and the sinks' log; `mediagate jobs retry` sends its decision again",
    State.NEEDS_REVIEW: "a human decides: `mediagate jobs override`",
    State.UNSCANNABLE: "`mediagate jobs retry` has it scanned anew",
}


def page(job: Job, actions: Sequence[OperatorAction], letters: Sequence[Found] | str, now: datetime) -> str:
    """The job's page; `letters` name it, or say why they are not known."""
    sections = (_facts(job, now), _decision(job), _override(job), _events(job), _times(job))
    more = (_letters(letters), _actions(actions))
    return "\n\n".join("\n".join(lines) for lines in map(list, (*sections, *more)) if lines)


def age(since: timedelta) -> str:
    """In the two largest units; a clock that is behind makes it none."""
    seconds = max(0, int(since.total_seconds()))
    parts = (
        (seconds // 86_400, "d"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "min"),
        (seconds % 60, "s"),
    )
    first = next((index for index, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number) or "0 s"


def _line(name: str, text: object) -> str:
    return f"{name:12}{shortened(printable(str(text)), LONGEST)}"


def _facts(job: Job, now: datetime) -> Iterator[str]:
    row, state = job.row, job.state
    yield _line("job", job.media_id)
    yield _line("state", f"{state} for {age(now - job.since)}")
    if job.why:
        yield _line("why", job.why)
    if state in _ADVICE:
        yield _line("next", _ADVICE[state])
    yield _line("file", f"{row['file_name']}, {row['mime_type']}, {row['file_size']:,} bytes")
    yield _line("sha256", f"{row['sha256']}{', verified by S3' if row['checksum_verified'] else ''}")
    yield _line("of", f"user {row['user_id']}, for {row['linked_to_type']} {row['linked_to_id']}")
    if state not in {State.AWAITING_UPLOAD, State.EXPIRED}:
        yield _line("stands at", job.place)
    if job.public_name is not None and state is not State.PUBLISHED:
        yield _line("reserved", job.public_name)


def _decision(job: Job) -> Iterator[str]:
    decision = job.decision
    if decision is None:
        return
    yield _line("decision", decision.outcome)
    if decision.braked is not None:
        yield _line("  braked", f"the policy says {decision.braked}, a safety brake holds it")
    for reason in decision.reasons:
        yield _line("  reason", reason)
    for category, score in sorted(decision.scores.items(), key=lambda item: -item[1]):
        yield _line("  score", f"{score:.3f} {category}")
    yield from _judges(decision)
    seen = decision.inspection
    yield _line("  inspected", f"{seen.mime_type}, {seen.width} x {seen.height}" if seen else "never")


def _judges(decision: Decision) -> Iterator[str]:
    if decision.scanner is not None:
        yield _line("  scanner", " ".join(filter(None, (decision.scanner, decision.model_version))))
    if decision.policy_version is not None:
        yield _line("  policy", decision.policy_version)
    if decision.shadow is not None:
        yield _line("  shadow", f"{decision.shadow.outcome} by policy {decision.shadow.policy_version}")


def _override(job: Job) -> Iterator[str]:
    override = job.override
    if override is None:
        return
    yield _line("override", f"{override['verdict']} by {override['operator']}")
    yield _line("  reason", override["reason"])
    yield _line("  asked", shown_time(datetime.fromisoformat(override["requested_at"])))
    yield _line("  event", override["id"])


def _events(job: Job) -> Iterator[str]:
    stored, row = job.stored_decision, job.row
    yield "events"
    yield _line("  upload", f"sent {row['attempts']} times" if row["attempts"] != 1 else "sent once")
    if stored.get("causation_id"):
        yield _line("  decided", stored["causation_id"])
    if stored.get("event_id"):
        yield _line("  decision", stored["event_id"])
    if job.ended_by is not None:
        yield _line("  replaced", f"by {job.ended_by}")
    if (kind := _NEWS.get(job.state)) is not None:
        yield _line("  news", news_id(kind, job.media_id, job.ended_by))
    if stored.get("traceparent"):
        yield _line("  trace", stored["traceparent"])


def _times(job: Job) -> Iterator[str]:
    row = job.row
    named = {
        "requested": row["created_at"],
        "queued": row["queued_at"],
        "sent": row["event_published_at"],
        "sent last": row["last_attempt_at"] if row["attempts"] > 1 else None,
        "decided": row["decided_at"],
        "finished": row["finished_at"],
    }
    yield "history"
    known = [(instant, name) for name, instant in named.items() if instant is not None]
    for instant, name in sorted(known, key=lambda item: item[0]):
        yield f"  {shown_time(instant)}  {name}"


def _letters(letters: Sequence[Found] | str) -> Iterator[str]:
    if isinstance(letters, str):
        yield _line("letters", letters)
        return
    if letters:
        yield "dead letters"
    for each in letters:
        letter = each.letter
        yield f"  {shown_time(letter.at)}  {letter.position}  {each.state}  {letter.reason}"


def _actions(actions: Sequence[OperatorAction]) -> Iterator[str]:
    if actions:
        yield "operators"
    for action in actions:
        said = shortened(printable(_said(action.action, action.details)), LONGEST)
        yield f"  {shown_time(action.at)}  {printable(action.operator)}  {said}"


def _said(action: Action, details: Mapping[str, Any]) -> str:
    match action:
        case Action.RETRY:
            what = "retry"
        case Action.OVERRIDE:
            what = f"override {details.get('verdict', '')}: {details.get('reason', '')}"
        case _:
            return action.value
    return what if details.get("to") else f"{what} (broken off, perhaps sent)"
