"""All that there is to say of one letter, as lines of text; pure."""

from collections.abc import Iterator, Sequence

from mediagate.datetimes import shown_time
from mediagate.dead_letter_queue.redrive import Found
from mediagate.operator_actions import Action, OperatorAction
from mediagate.printable import dumped, one_line, printable

HEADER_CHARACTERS = 300
MOST_HEADERS = 50
NAMES = {Action.REDRIVE: "redrive", Action.DISCARD: "discard"}


def page(topic: str, found: Found, earlier: int, actions: Sequence[OperatorAction]) -> str:
    """The letter's page; `earlier` redrives made it come back, `actions` are theirs and its own."""
    letter = found.letter
    facts = {
        "letter": f"{letter.position} of {topic}",
        "when": shown_time(letter.at),
        "state": found.state,
        "origin": letter.origin,
        "reason": letter.reason,
        "error": letter.error,
        "tries": str(letter.attempts + earlier),
        "key": one_line(letter.key),
    }
    lines = [f"{name:8}{text}" for name, text in facts.items()]
    return "\n".join([*lines, *_headers(found), *_value(letter.value), *_history(actions)])


def _headers(found: Found) -> Iterator[str]:
    headers = found.letter.original_headers
    yield from ["", "headers" if headers else "headers none"]
    for name, content in headers[:MOST_HEADERS]:
        yield f"  {printable(name[:HEADER_CHARACTERS])}: {one_line(content, HEADER_CHARACTERS)}"
    if len(headers) > MOST_HEADERS:
        yield f"  … and {len(headers) - MOST_HEADERS:,} more headers"


def _value(value: bytes | None) -> Iterator[str]:
    if value is None:
        yield from ["", "value   null"]
        return
    kind, text = dumped(value)
    yield from ["", f"value   {len(value):,} bytes{'' if kind == 'bytes' else f', {kind}'}", text]


def _history(actions: Sequence[OperatorAction]) -> Iterator[str]:
    if actions:
        yield from ["", "history"]
    for action in actions:
        who = printable(action.operator)
        yield f"  {shown_time(action.at)}  {who}  {NAMES[action.action]}  {_outcome(action)}"


def _outcome(action: OperatorAction) -> str:
    if action.action is Action.DISCARD:
        return f"{action.subject}: {printable(str(action.details.get('note', '')))}"
    target = action.details.get("to")
    return f"{action.subject} to {target}" if target else f"{action.subject}: broken off, perhaps sent"
