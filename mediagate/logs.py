"""Structured logs, of Mediagate's own lines and of its libraries' alike."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

_ENCODER = json.JSONEncoder(default=repr)


@contextmanager
def without_kafka_lines() -> Iterator[None]:
    """Silences aiokafka's logger where its failure is raised, and said in one line, anyway."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


class StandardError(structlog.WriteLogger):
    """Writes lines to standard error, for a module that has a name."""

    def __init__(self, name: str = "root") -> None:
        super().__init__(sys.stderr)
        self.name = name


def configure_logs(process: str, level: str, form: str) -> None:
    """Sends every log line to standard error as JSON or for a console, with the process's name."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendered: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if form == "console" else _json,
    ]
    # Our own lines do not take the way through the standard library: it costs several times as much.
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=StandardError,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in (
        "aiokafka",
        "alembic",
        "faust",
        "mode",
        "botocore",
        "boto3",
        "urllib3",
        "PIL",
        "aiohttp.access",
    ):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))


def _json(_: object, __: str, line: structlog.typing.EventDict) -> str:
    return _ENCODER.encode(line)
