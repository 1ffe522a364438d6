"""Reading the block list's files: what is an entry, and which line says why it is none."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.block_list import Entry, Kind, parse_entry, read_entries
from mediagate.errors import ConfigurationError

MD5 = "0123456789abcdef" * 2
SHA256 = "fedcba9876543210" * 4
PDQ = "00ff00ff00ff00ff" * 4


def read(text: str, kind: Kind | None = None, note: str = "") -> list[Entry]:
    return list(read_entries(text.splitlines(keepends=True), "list.csv", kind, note))


def test_one_hash_a_line() -> None:
    assert read(f"{MD5}\n\n  {MD5.upper()[::-1]}  \r\n") == [
        Entry(Kind.MD5, MD5),
        Entry(Kind.MD5, MD5[::-1]),
    ]


def test_one_hash_a_line_of_the_kind_that_is_said() -> None:
    assert read(f"{SHA256}\n", Kind.PDQ, "spam") == [Entry(Kind.PDQ, SHA256, "spam")]


def test_a_prefix_says_the_kind() -> None:
    assert read(f"pdq:{PDQ}\nSHA256:{SHA256}\nmd5:{MD5}") == [
        Entry(Kind.PDQ, PDQ),
        Entry(Kind.SHA256, SHA256),
        Entry(Kind.MD5, MD5),
    ]


def test_csv_with_columns_in_any_order() -> None:
    assert read(f'Note, HASH ,kind\n"one, two",{SHA256.upper()},sha256\n,{PDQ},PDQ\n') == [
        Entry(Kind.SHA256, SHA256, "one, two"),
        Entry(Kind.PDQ, PDQ),
    ]


def test_csv_rows_without_kind_or_note_take_those_of_the_command() -> None:
    assert read(f"hash,kind,note\n{PDQ},,\n{SHA256},sha256,own\n{PDQ}", Kind.PDQ, "common") == [
        Entry(Kind.PDQ, PDQ, "common"),
        Entry(Kind.SHA256, SHA256, "own"),
        Entry(Kind.PDQ, PDQ, "common"),
    ]


def test_csv_of_hashes_alone() -> None:
    assert read(f"hash\n{MD5}\n") == [Entry(Kind.MD5, MD5)]


@pytest.mark.parametrize("text", ["", "\n \n", "hash,kind\n"])
def test_nothing_is_no_entry(text: str) -> None:
    assert read(text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param(f"{MD5}\n{SHA256}", "list.csv:2: kind: 64 hex digits may be sha256 or pdq", id="kind"),
        pytest.param(f"{MD5}\n\nxyz\n", "list.csv:3: hash: neither 32 nor 64 hex digits: 'xyz'", id="length"),
        pytest.param("g" * 32, "list.csv:1: hash: md5 is 32 hex digits, not 'gggg", id="digits"),
        pytest.param(f"md5:{SHA256}", "list.csv:1: hash: md5 is 32 hex digits", id="digits-of-prefix"),
        pytest.param(f"crc32:{MD5}", "list.csv:1: kind: 'crc32' is not sha256, md5, pdq", id="prefix"),
        pytest.param(f"{MD5},spam", "list.csv:1: 2 fields where the columns are hash", id="fields"),
        pytest.param(f"hash,reason\n{MD5},x", "list.csv:1: column 'reason': columns are hash", id="column"),
        pytest.param(f"hash,hash\n{MD5},x", "list.csv:1: column 'hash': columns are", id="column-twice"),
        pytest.param(f"hash,kind\n{MD5},sha1", "list.csv:2: kind: 'sha1' is not", id="csv-kind"),
        pytest.param(f"hash,kind\n{MD5},pdq", "list.csv:2: hash: pdq is 64 hex digits", id="csv-length"),
        pytest.param(f"hash,kind\nmd5:{MD5},pdq", "list.csv:2: hash: says md5 where kind is pdq", id="two"),
        pytest.param(f"hash,note\n{MD5},a\x1bb", "list.csv:2: note: must be at most 255", id="note"),
        pytest.param(f"hash,note\n{MD5},{'x' * 256}", "list.csv:2: note: must be", id="note-length"),
        pytest.param(f'hash,note\n{MD5},"a', "list.csv:2: unexpected end of data", id="quote"),
        pytest.param("note,hash\nalone", "list.csv:2: hash: neither", id="no-hash"),
    ],
)
def test_a_fault_names_file_line_and_field(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(text)

    assert str(raised.value).startswith(fault)
    assert len(str(raised.value).splitlines()) == 1


def test_what_is_not_utf_8_is_a_fault_of_its_field() -> None:
    content = f"hash,note\n{MD5},caf".encode() + b"\xe9"

    with pytest.raises(ConfigurationError, match=r"list\.csv:2: note: "):
        read(content.decode(errors="surrogateescape"))


@given(
    st.sampled_from(Kind).flatmap(
        lambda kind: st.tuples(
            st.just(kind),
            st.text(string.hexdigits, min_size=32, max_size=32).map(
                lambda digits: digits if kind is Kind.MD5 else digits * 2
            ),
        )
    )
)
def test_a_prefixed_hash_is_read_whatever_its_case(said: tuple[Kind, str]) -> None:
    kind, digits = said

    assert parse_entry(f"{kind}:{digits}") == Entry(kind, digits.lower())


@given(st.text(max_size=80), st.none() | st.sampled_from(Kind))
def test_any_text_is_an_entry_or_a_named_fault(text: str, kind: Kind | None) -> None:
    try:
        entry = parse_entry(text, kind)
    except ValueError as error:
        assert str(error).startswith(("hash: ", "kind: "))
    else:
        assert len(bytes.fromhex(entry.hash)) in {16, 32}
