"""The stack as its users meet it: data survive, crashes are cleaned up, mistakes are one clear line."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
from botocore.exceptions import ClientError

from devstack import DevstackError, Endpoints, Stack
from devstack.process import runs
from devstack.service import Service
from tests.devstack.clients import create_topic, first_record, produce, query, s3_client

ROOT = Path(__file__).parent.parent.parent
END_DEADLINE = 30.0


async def test_data_and_addresses_survive_a_restart_even_after_kill_of_the_parent(directory: Path) -> None:
    with stack_in_another_process(directory) as (parent, endpoints):
        await write(endpoints, "kept")
        children = recorded_processes(directory)
        parent.kill()
        parent.wait(END_DEADLINE)
        assert all_end(children)
    with Stack(directory) as stack:
        assert stack.endpoints() == endpoints
        assert await read(endpoints, "kept") == (b"kept", "kept", b"kept")
    with Stack(directory) as stack:
        assert stack.endpoints() == endpoints
        assert await read(endpoints, "kept") == (b"kept", "kept", b"kept")


async def test_data_survive_the_crash_of_every_service(stack: Stack) -> None:
    await write(stack.endpoints(), "crash")
    for service in services(stack):
        killed = service.pid
        service.kill()
        assert service.pid is None
        service.start()
        assert service.pid not in (None, killed)
    assert await read(stack.endpoints(), "crash") == (b"crash", "crash", b"crash")


def test_a_suspended_service_still_stops_in_order(stack: Stack) -> None:
    assert stack.postgres.pid
    psutil.Process(stack.postgres.pid).suspend()
    stack.postgres.stop()
    assert stack.postgres.pid is None
    assert "database system is shut down" in stack.postgres.log.read_text().splitlines()[-1]
    stack.postgres.start()


def test_a_second_start_on_the_same_directory_is_refused(stack: Stack) -> None:
    with pytest.raises(DevstackError, match=rf"already runs in .* \(process {os.getpid()}\)"):
        Stack(stack.directory).start()
    assert all(service.pid for service in services(stack))


def test_a_port_clash_names_the_port(stack: Stack) -> None:
    stack.s3.stop()
    with (
        socket.create_server(("127.0.0.1", stack.s3.port)),
        pytest.raises(DevstackError, match=f"s3proxy: port {stack.s3.port} .* another program"),
    ):
        stack.s3.start()
    stack.s3.start()


def test_a_service_that_cannot_start_quotes_its_log(stack: Stack) -> None:
    stack.postgres.stop()
    version = stack.postgres.directory / "data" / "PG_VERSION"
    correct = version.read_text()
    version.write_text("9\n")
    with pytest.raises(DevstackError, match=r"postgres ended while starting; .*postgres\.log: .*FATAL"):
        stack.postgres.start()
    assert stack.postgres.pid is None
    version.write_text(correct)
    stack.postgres.start()


def test_s3_rejects_a_bad_secret(stack: Stack) -> None:
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3_client(stack.endpoints(), secret="wrong").list_buckets()


async def test_the_database_admits_neither_a_bad_password_nor_the_superuser(stack: Stack) -> None:
    port = stack.postgres.port
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host="127.0.0.1", port=port, user="mediagate", password="wrong")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match=r"no pg_hba\.conf entry"):
        await asyncpg.connect(host="127.0.0.1", port=port, user="postgres", password=stack.postgres.password)


async def test_the_role_may_clone_its_database_and_fsync_is_on(stack: Stack) -> None:
    await query(stack.endpoints(), "CREATE DATABASE clone TEMPLATE mediagate")
    await query(stack.endpoints(), "DROP DATABASE clone")
    assert await query(stack.endpoints(), "SHOW fsync") == "on"
    assert (
        await query(stack.endpoints(), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    )


def test_everything_listens_on_loopback_alone(stack: Stack) -> None:
    for service in services(stack):
        assert service.pid
        connections = psutil.Process(service.pid).net_connections("inet")
        listening = [connection for connection in connections if connection.status == psutil.CONN_LISTEN]
        assert service.port in {connection.laddr.port for connection in listening}
        assert {connection.laddr.ip for connection in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}


def test_secrets_are_for_the_owner_alone(stack: Stack) -> None:
    secrets = (stack.endpoints().s3_secret_access_key, stack.postgres.password)
    holding = [path for path in stack.directory.rglob("*.conf") if secrets[0] in path.read_text()]
    assert holding
    for path in (stack.directory / "credentials.json", *holding):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    logs = "".join(path.read_text() for path in stack.directory.glob("*.log"))
    assert not any(secret in repr(stack.endpoints()) + logs for secret in secrets)


def test_the_command_line_stops_in_order_on_sigterm(directory: Path) -> None:
    with stack_in_another_process(directory) as (parent, _):
        children = recorded_processes(directory)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(END_DEADLINE) == 0
        assert not any(map(runs, children))
    assert "database system is shut down" in (directory / "postgres.log").read_text().splitlines()[-1]
    assert json.loads((directory / "state.json").read_text())["processes"] == {}


def test_the_command_line_reports_a_failure_in_one_line(stack: Stack) -> None:
    command = [sys.executable, "-m", "devstack", "up", "--directory", str(stack.directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    message = f"a stack already runs in {stack.directory} (process {os.getpid()})"
    assert done.stdout + done.stderr == f"devstack: {message}\n"


async def write(endpoints: Endpoints, name: str) -> None:
    await create_topic(endpoints, name)
    await produce(endpoints, name, name.encode())
    await query(endpoints, "CREATE TABLE IF NOT EXISTS note (name text PRIMARY KEY)")
    await query(endpoints, "INSERT INTO note VALUES ($1)", name)
    s3 = s3_client(endpoints)
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="object", Body=name.encode())


async def read(endpoints: Endpoints, name: str) -> tuple[bytes | None, object, bytes]:
    row = await query(endpoints, "SELECT name FROM note WHERE name = $1", name)
    body = s3_client(endpoints).get_object(Bucket=name, Key="object")["Body"]
    return await first_record(endpoints, name), row, body.read()


def services(stack: Stack) -> list[Service]:
    return [stack.kafka, stack.postgres, stack.s3]


@contextmanager
def stack_in_another_process(directory: Path) -> Iterator[tuple[subprocess.Popen[str], Endpoints]]:
    """Run `python -m devstack up`; the caller ends it, or the exit does."""
    command = [sys.executable, "-m", "devstack", "up", "--directory", str(directory)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, printed_endpoints(process)
        finally:
            process.kill()


def printed_endpoints(process: subprocess.Popen[str]) -> Endpoints:
    assert process.stdout
    values: dict[str, str] = {}
    for line in process.stdout:
        name, _, value = line.strip().partition("=")
        values[name] = value
        if name == "AWS_REGION":
            break
    return Endpoints(
        kafka_bootstrap_servers=values["KAFKA_BOOTSTRAP_SERVERS"],
        database_url=values["DATABASE_URL"],
        s3_endpoint_url=values["S3_ENDPOINT_URL"],
        s3_access_key_id=values["AWS_ACCESS_KEY_ID"],
        s3_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
        s3_region=values["AWS_REGION"],
    )


def recorded_processes(directory: Path) -> list[psutil.Process]:
    records = json.loads((directory / "state.json").read_text())["processes"].values()
    leaders = [psutil.Process(record["pid"]) for record in records]
    assert len(leaders) == 3
    return [process for leader in leaders for process in (leader, *leader.children(recursive=True))]


def all_end(processes: list[psutil.Process]) -> bool:
    deadline = time.monotonic() + END_DEADLINE
    while any(map(runs, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(runs, processes))
