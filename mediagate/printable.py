"""What others wrote, as a terminal may show it: nothing in it moves the cursor, hides or turns text round."""

import json

MOST_CHARACTERS = 4000
MOST_BYTES = 512
BYTES_PER_LINE = 16


def printable(text: str) -> str:
    """The text with everything escaped that is not visible: control characters, also of writing direction."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def shortened(text: str, length: int) -> str:
    """At most so many characters, the last one saying that there are more."""
    return text if len(text) <= length else text[: length - 1] + "…"


def one_line(content: bytes | None, length: int = MOST_CHARACTERS) -> str:
    """Bytes as text where they are UTF-8, else as hex."""
    if content is None:
        return "null"
    try:
        return shortened(printable(content.decode()), length)
    except UnicodeDecodeError:
        return shortened(f"0x{content[:length].hex()}", length)


def dumped(content: bytes) -> tuple[str, str]:
    """What bytes are (JSON, text or neither), and a beginning of them on lines of their own."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "bytes", _hex_dump(content)
    try:
        shown, kind = json.dumps(json.loads(text), indent=2, ensure_ascii=False), "JSON"
    except (ValueError, RecursionError):
        shown, kind = text, "text"
    lines = (printable(line) for line in shown[:MOST_CHARACTERS].split("\n"))
    return kind, "\n".join([*lines, *_left_out(len(shown) - MOST_CHARACTERS, "characters")])


def _hex_dump(content: bytes) -> str:
    lines = [
        _hex_line(start, content[start : start + BYTES_PER_LINE])
        for start in range(0, min(len(content), MOST_BYTES), BYTES_PER_LINE)
    ]
    return "\n".join([*lines, *_left_out(len(content) - MOST_BYTES, "bytes")])


def _hex_line(start: int, part: bytes) -> str:
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
    return f"{start:08x}  {part.hex(' '):{3 * BYTES_PER_LINE}} {text}"


def _left_out(count: int, of: str) -> list[str]:
    return [f"… and {count:,} more {of}"] if count > 0 else []
