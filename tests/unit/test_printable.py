"""What others wrote cannot do anything to a terminal."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.printable import MOST_BYTES, MOST_CHARACTERS, dumped, one_line, printable, shortened

UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
HOSTILE = "\x1b[2J\x1b]0;title\x07 \r\b\x9b31m \u202etxet \u2028"


def is_harmless(text: str) -> bool:
    return not any(unicodedata.category(character) in UNSEEN for character in text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("é 漢 [bold]", "é 漢 [bold]"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\tb\n", r"a\tb\n"),
        ("\u202e", r"\u202e"),
        ("\udc80", r"\udc80"),
    ],
)
def test_only_what_is_not_visible_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text() | st.just(HOSTILE))
def test_no_text_moves_the_cursor(text: str) -> None:
    assert is_harmless(printable(text))
    assert is_harmless(one_line(text.encode(errors="surrogatepass")))


@given(st.binary() | st.text().map(str.encode) | st.just(HOSTILE.encode()))
def test_no_bytes_move_the_cursor(content: bytes) -> None:
    _, lines = dumped(content)
    assert all(is_harmless(line) for line in lines.split("\n"))


def test_json_is_laid_out_with_its_strings_escaped() -> None:
    kind, lines = dumped(json.dumps({"name": HOSTILE, "city": "Łódź"}).encode())

    assert kind == "JSON"
    assert lines.splitlines()[0] == "{"
    assert '  "city": "Łódź"' in lines
    assert "\\u001b[2J" in lines


@pytest.mark.parametrize("content", [b"[" * 100_000, b"1" * 10_000, b"", b"nul\x00"])
def test_what_no_parser_takes_is_text(content: bytes) -> None:
    kind, lines = dumped(content)
    assert kind == "text"
    assert len(lines) < MOST_CHARACTERS + 100


def test_other_bytes_are_a_hex_dump() -> None:
    kind, lines = dumped(b"\xff\x00[bold]" + bytes(600))
    first, *_, last = lines.splitlines()
    assert kind == "bytes"
    assert first == "00000000  ff 00 5b 62 6f 6c 64 5d 00 00 00 00 00 00 00 00  ..[bold]........"
    assert max(map(len, lines.splitlines())) < 80
    assert last == f"… and {608 - MOST_BYTES} more bytes"


def test_one_line_says_what_bytes_are() -> None:
    assert one_line(None) == "null"
    assert one_line(b"\xff\x00") == "0xff00"
    assert one_line(b"x" * 50, 10) == "xxxxxxxxx…"
    assert len(one_line(b"\xff" * 10**6, 10)) == 10
    assert shortened("short", 5) == "short"
