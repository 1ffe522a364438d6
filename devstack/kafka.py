"""Kafka: one KRaft node, broker and controller in one process."""

import socket
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from devstack import jars
from devstack.errors import DevstackError
from devstack.java import java_command
from devstack.ports import HOST
from devstack.service import Service
from devstack.state import State

_LOG_SETTINGS = Path(__file__).with_name("log4j2.properties")
_FORMAT_TIMEOUT = 60.0
_PROBE_TIMEOUT = 2.0
_METADATA_REQUEST = struct.Struct(">ihhihi")
_METADATA_API_KEY = 3


class Kafka(Service):
    """The broker; topics are not created by use."""

    name = "kafka"
    port_names = ("kafka", "kafka-controller", "kafka-behind-proxy")

    def __init__(self, directory: Path, state: State) -> None:
        super().__init__(directory, state)
        self.cluster_id = ""
        self.proxy_port: int | None = None
        self._settings = self.directory / "server.properties"
        self._data = self.directory / "data"

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return f"{HOST}:{self.port}"

    @property
    def port_behind_proxy(self) -> int:
        """Where a proxy finds the broker; who comes by it is sent to `proxy_port` from then on."""
        return self._port("kafka-behind-proxy")

    def prepare(self) -> None:
        """Write the configuration and, on the first start, format the log directory."""
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        if not (self._data / "meta.properties").exists():
            self._format()

    def command(self) -> Sequence[str | Path]:
        """Return the broker's command line."""
        return [*self._java("kafka.Kafka", heap="512m"), self._settings]

    def is_ready(self) -> bool:
        """Whether the broker answers a metadata request and lists itself, which it does once unfenced."""
        try:
            with socket.create_connection((HOST, self.port), _PROBE_TIMEOUT) as connection:
                return _listed_brokers(connection) > 0
        except (OSError, struct.error):
            return False

    def _properties(self) -> dict[str, str | int]:
        controller = f"{HOST}:{self._port('kafka-controller')}"
        listeners = {"PLAINTEXT": self.bootstrap_servers}
        advertised = dict(listeners)
        if self.proxy_port is not None:
            listeners["PROXIED"] = f"{HOST}:{self.port_behind_proxy}"
            advertised["PROXIED"] = f"{HOST}:{self.proxy_port}"
        protocols = ",".join(f"{name}:PLAINTEXT" for name in (*listeners, "CONTROLLER"))
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": _addresses(listeners | {"CONTROLLER": controller}),
            "advertised.listeners": _addresses(advertised),
            "listener.security.protocol.map": protocols,
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self._data),
            "auto.create.topics.enable": "false",
            "num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            # After a kill the broker is let in again only when its old session has ended; the default is 9 s.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            # One broker, and few internal partitions to create and to load.
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            # The default of 128 MiB is a quarter of the heap.
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        }

    def _format(self) -> None:
        arguments = ["format", "--ignore-formatted", "-t", self.cluster_id, "-c", str(self._settings)]
        command = [*self._java("kafka.tools.StorageTool", heap="128m"), *arguments]
        with self.log.open("ab") as output:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                timeout=_FORMAT_TIMEOUT,
                check=False,
            )
        if done.returncode != 0:
            raise DevstackError(f"kafka cannot format {self._data}; {self.log}: {self._last_log_line()}")

    def _java(self, main_class: str, *, heap: str) -> list[str | Path]:
        logging = f"-Dlog4j2.configurationFile={_LOG_SETTINGS.as_uri()}"
        return java_command(jars.class_path("kafka"), main_class, heap=heap, options=(logging,))


def _addresses(listeners: Mapping[str, str]) -> str:
    return ",".join(f"{name}://{address}" for name, address in listeners.items())


def _listed_brokers(connection: socket.socket) -> int:
    """Ask for the metadata of no topic (version 1, no client id) and return the number of brokers."""
    correlation_id = 1
    request = _METADATA_REQUEST.pack(_METADATA_REQUEST.size - 4, _METADATA_API_KEY, 1, correlation_id, -1, 0)
    connection.sendall(request)
    reply = connection.makefile("rb").read(12)
    _, _, brokers = struct.unpack(">iii", reply)
    return int(brokers)
