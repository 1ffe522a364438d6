"""Who moves the objects: how each is started, and what it promises less than Mediagate."""

import sys
from pathlib import Path

from benchmarks.peer import Command, Peer
from benchmarks.prepare import python_of

BOTO3_MOVES = Path(__file__).parent / "boto3_moves"
CONCURRENCY = 16
"""S3 calls at once: the default of S3_CONCURRENCY."""


def _mediagate() -> Command:
    return [sys.executable, "-m", "sinks"]


def _boto3() -> Command:
    return [python_of(BOTO3_MOVES), BOTO3_MOVES / "main.py"]


COPY = f"boto3, {CONCURRENCY} at once"
LESS = "no record, no event, overwrites what is there, moves bytes that nobody decided on"

PEERS = (
    Peer("mediagate", _mediagate, environment={"S3_CONCURRENCY": str(CONCURRENCY)}, ours=True),
    Peer(COPY, _boto3, LESS, {"CONCURRENCY": str(CONCURRENCY)}),
    Peer("boto3, one at a time", _boto3, LESS, {"CONCURRENCY": "1"}),
)
