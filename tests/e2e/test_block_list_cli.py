"""`mediagate blocklist` by hand."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.e2e.conftest import DEADLINE, ROOT, Run

MD5 = "0123456789abcdef" * 2
SHA256 = "fedcba9876543210" * 4
PDQ = "00ff00ff00ff00ff" * 4


@pytest.fixture
def run(run: Run, database_url: str) -> Run:
    """Runs `mediagate blocklist` on the test's database."""

    def command(*arguments: str, url: str = database_url) -> "subprocess.CompletedProcess[str]":
        return run("blocklist", *arguments, DATABASE_URL=url, COLUMNS="200")

    return command


def said(ended: "subprocess.CompletedProcess[str]") -> str:
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout.strip()


def refusal(ended: "subprocess.CompletedProcess[str]") -> str:
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    return line.removeprefix("mediagate: ")


async def execute(database_url: str, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(statement, *values)
    await connection.close()


def test_files_are_imported_and_listed(run: Run, tmp_path: Path) -> None:
    assert said(run("list")) == "No entries."

    (tmp_path / "pdq.txt").write_text(f"{PDQ}\n{PDQ.upper()}\n")
    assert said(run("import", "pdq.txt", "--kind", "pdq", "--note", "[spam]")) == "1 new, 1 known already."
    (tmp_path / "mixed.csv").write_bytes(
        f"\ufeffhash,kind,note\r\n{SHA256},sha256,a note\r\n{MD5},,\r\n".encode()
    )
    assert said(run("import", "mixed.csv")) == "2 new, 0 known already."

    table = said(run("list"))
    for shown in (PDQ, SHA256, MD5, "[spam]", "a note"):
        assert shown in table
    of_kind = said(run("list", "--kind", "md5"))
    assert MD5 in of_kind
    assert PDQ not in of_kind


def test_a_hash_is_added_and_removed(run: Run) -> None:
    assert said(run("add", SHA256, "--kind", "sha256", "--note", "by hand")) == "Added."
    assert said(run("add", f"sha256:{SHA256.upper()}")) == "Known already: nothing is changed."
    assert said(run("add", MD5)) == "Added."

    assert refusal(run("remove", SHA256, "--kind", "pdq")) == f"not on the block list: {SHA256}"
    assert said(run("remove", SHA256.upper(), "--kind", "sha256")) == "Removed."
    assert refusal(run("remove", SHA256)) == f"not on the block list: {SHA256}"
    assert said(run("remove", MD5)) == "Removed."
    assert said(run("list")) == "No entries."


async def test_a_suspended_hash_is_shown_and_resumed(run: Run, database_url: str) -> None:
    said(run("add", MD5))
    said(run("add", f"pdq:{PDQ}"))
    assert said(run("list", "--suspended")) == "No entries."
    assert refusal(run("resume", MD5)) == f"not suspended: {MD5}"
    await execute(
        database_url, "update hash_block_list set suspended_at = '2026-02-03 04:05Z' where hash = $1", MD5
    )
    await execute(
        database_url,
        """insert into hash_block_matches (entry_id, media_id, matched_at)
           select id, gen_random_uuid(), now() - age * interval '1 hour'
           from hash_block_list, generate_series(0, 41) as age where hash = $1""",
        MD5,
    )

    (row,) = [line for line in said(run("list", "--suspended")).splitlines() if MD5 in line]
    assert [cell.strip() for cell in row.strip("│").split("│")][4:] == ["1", "42", "2026-02-03 04:05:00"]
    assert said(run("resume", MD5)) == "Resumed."
    assert said(run("list", "--suspended")) == "No entries."


def test_a_faulty_file_is_one_line_and_imports_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"hash,kind\n{MD5},md5\n{SHA256},crc\n")
    assert refusal(run("import", "list.csv")) == "list.csv:3: kind: 'crc' is not sha256, md5, pdq"
    (tmp_path / "bytes").write_bytes(f"{MD5}\n".encode() + b"\xff\xfe\n")
    assert refusal(run("import", "bytes")).startswith("bytes:2: hash: ")

    assert said(run("list")) == "No entries."


def test_what_cannot_be_read_is_one_line(run: Run, tmp_path: Path) -> None:
    assert refusal(run("import", "missing.csv")) == "missing.csv: No such file or directory"
    assert refusal(run("import", str(tmp_path))) == f"{tmp_path}: Is a directory"
    assert refusal(run("add", SHA256)).startswith("kind: 64 hex digits may be sha256 or pdq")
    assert refusal(run("add", f"md5:{MD5}", "--kind", "pdq")) == "hash: says md5 where kind is pdq"
    assert refusal(run("remove", f"crc:{MD5}")) == "kind: 'crc' is not sha256, md5, pdq"


def test_a_database_that_is_away_or_old_is_one_line(run: Run, empty_database_url: str) -> None:
    away = "postgresql://nobody:secret-password@127.0.0.1:1/nothing"
    line = refusal(run("add", MD5, url=away))
    assert line.startswith("PostgreSQL")
    assert "secret" not in line
    assert "run `mediagate migrate`" in refusal(run("add", MD5, url=empty_database_url))


def test_on_a_terminal_a_long_file_has_a_bar(tmp_path: Path, database_url: str) -> None:
    path = tmp_path / "long.txt"
    path.write_text("".join(f"{number:032x}\n" for number in range(300_000)))
    terminal, terminal_end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "mediagate", "blocklist", "import", path.name],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "DATABASE_URL": database_url, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=terminal_end,
        text=True,
    ) as importing:
        os.close(terminal_end)
        shown = read_all(terminal)
        assert importing.wait(DEADLINE) == 0
        assert importing.stdout is not None
        assert importing.stdout.read().strip() == "300000 new, 0 known already."

    assert b"long.txt" in shown
    assert "━".encode() in shown


def read_all(terminal: int) -> bytes:
    """What is written to a terminal until its other end is closed."""
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(terminal)
    return shown
