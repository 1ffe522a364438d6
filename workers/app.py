"""The Faust app of a worker: only group membership and agents, nothing else of Faust's."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust

from mediagate.settings import Settings

SESSION_TIMEOUT = 15.0
"""Seconds until the partitions of a worker that fell silent are another's."""
METADATA_MAX_AGE_MS = 5_000
"""A member that joins while Kafka restarts may know no partitions: it gets none until it has looked again."""


def make_app(
    settings: Settings,
    group: str,
    scratch: Path,
    queue_size: int,
    records_per_poll: int,
    transport: Callable[[faust.App], Any],
) -> faust.App:
    """An app without web server, tables and leader. `queue_size` bounds the polls' messages for an agent."""
    app = faust.App(
        group,
        broker=[f"kafka://{server.strip()}" for server in settings.kafka_bootstrap_servers.split(",")],
        store="memory://",
        datadir=str(scratch),
        web_enabled=False,
        stream_wait_empty=False,
        stream_buffer_maxsize=queue_size,
        broker_client_id=f"{group}-{socket.gethostname()}-{os.getpid()}",
        broker_max_poll_records=records_per_poll,
        broker_commit_interval=1.0,
        broker_session_timeout=SESSION_TIMEOUT,
        broker_heartbeat_interval=SESSION_TIMEOUT / 5,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        producer_request_timeout=30.0,
        table_standby_replicas=0,
        topic_disable_leader=True,
        topic_allow_declare=False,
    )
    app.transport = transport(app)
    return app
