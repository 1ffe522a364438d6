"""Kafka, PostgreSQL and S3 on this machine, for the demo and the tests."""

from devstack.endpoints import Endpoints
from devstack.errors import DevstackError
from devstack.stack import DEFAULT_DIRECTORY, Stack

__all__ = ["DEFAULT_DIRECTORY", "DevstackError", "Endpoints", "Stack"]
