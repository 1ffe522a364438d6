"""PostgreSQL: one cluster, one role, one database, reached over TCP with a password."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from devstack.errors import DevstackError
from devstack.ports import HOST
from devstack.postgres_binaries import binaries_for_others, own_binaries
from devstack.process import User
from devstack.service import Service
from devstack.state import State

NAME = "mediagate"
_COMMAND_TIMEOUT = 60.0
_PROBE_TIMEOUT = 5.0
# The superuser has no way in: there is no socket, and only our role is admitted over TCP.
_CLIENTS = f"host all {NAME} {HOST}/32 scram-sha-256\n"
# PostgreSQL refuses to run as root.
_USER_INSTEAD_OF_ROOT = "nobody"
# Entered while still root; a path through it passes no folder that is closed to the other user.
_WORKING_DIRECTORY = Path("/proc/self/cwd")
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "fsync": "on",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class Postgres(Service):
    """The database; the role owns it and may create others, for tests."""

    name = "postgres"
    port_names = ("postgres",)
    stop_signal = signal.SIGINT  # "fast": open sessions are ended
    death_signal = signal.SIGQUIT  # "immediate": the server ends its own children

    def __init__(self, directory: Path, state: State) -> None:
        super().__init__(directory, state)
        self.password = ""
        self._data = self.directory / "data"

    @property
    def url(self) -> str:
        """The address for clients, with the password."""
        return f"postgresql://{NAME}:{self.password}@{HOST}:{self.port}/{NAME}"

    @property
    def user(self) -> User | None:
        """An unprivileged user where we are root."""
        if os.geteuid() != 0:
            return None
        try:
            entry = pwd.getpwnam(_USER_INSTEAD_OF_ROOT)
        except KeyError:
            message = f"PostgreSQL does not run as root, and there is no user `{_USER_INSTEAD_OF_ROOT}`"
            raise DevstackError(message) from None
        return User(entry.pw_uid, entry.pw_gid)

    def prepare(self) -> None:
        """On the first start create the cluster, the role and the database."""
        if not self._data.exists():
            self._create()

    def command(self) -> Sequence[str | Path]:
        """Return the server's command line."""
        settings = {**_SETTINGS, "port": str(self.port)}
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", self._as_seen_by_server(self._data), *options]

    def is_ready(self) -> bool:
        """Whether a client can log in and query."""
        environment = {**self.environment(), "PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "3"}
        address = ["-h", HOST, "-p", str(self.port), "-U", NAME, "-d", NAME]
        try:
            done = subprocess.run(
                [self._program("psql"), "-X", "-w", *address, "-c", "SELECT 1"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=environment,
                timeout=_PROBE_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    @property
    def working_directory(self) -> Path:
        """The data, so that the server finds them there."""
        return self._data

    def _create(self) -> None:
        """Create the cluster beside its place, so that an interrupted start leaves none half made."""
        draft = self.directory / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if user := self.user:
            os.chown(draft, user.uid, user.gid)
        data = self._as_seen_by_server(draft)
        encoding = ("--encoding=UTF8", "--locale=C.UTF-8")
        self._run([self._program("initdb"), "-D", data, "-U", "postgres", "--auth=reject", *encoding], draft)
        statements = (
            f"CREATE ROLE {NAME} LOGIN CREATEDB PASSWORD '{self.password}'",
            f"CREATE DATABASE {NAME} OWNER {NAME}",
        )
        # The server without a listener; with -j a statement ends at a semicolon and an empty line.
        single: list[str | Path] = [self._program("postgres"), "--single", "-j", "-D", data, "postgres"]
        self._run(single, draft, stdin="".join(f"{statement};\n\n" for statement in statements))
        (draft / "pg_hba.conf").write_text(_CLIENTS)
        draft.rename(self._data)

    def _run(self, command: Sequence[str | Path], directory: Path, stdin: str = "") -> None:
        user = self.user
        with self.log.open("ab") as output:
            done = subprocess.run(
                command,
                input=stdin.encode(),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=self.environment(),
                timeout=_COMMAND_TIMEOUT,
                check=False,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
            )
        if done.returncode != 0:
            raise DevstackError(f"postgres cannot create its cluster; {self.log}: {self._last_log_line()}")

    def _program(self, name: str) -> Path:
        return (binaries_for_others() if self.user else own_binaries()) / name

    def _as_seen_by_server(self, data: Path) -> Path:
        """Return a path that works even where another user could not pass the folders above it."""
        return _WORKING_DIRECTORY if self.user else data
