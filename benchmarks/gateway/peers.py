"""Who is measured on the gateway: how each is started, and what it promises less than Mediagate."""

import sys
from pathlib import Path

from benchmarks.peer import Command, Peer
from benchmarks.prepare import node_of, python_of

HERE = Path(__file__).parent


def _mediagate() -> Command:
    return [sys.executable, "-m", "gateway"]


def _express() -> Command:
    return ["node", node_of(HERE / "express") / "main.js"]


def _fastapi() -> Command:
    return [python_of(HERE / "fastapi"), HERE / "fastapi" / "main.py"]


LESS = "no idempotency keys, service tokens, deadlines, log lines, metrics or problem documents"

PEERS = (
    Peer("mediagate", _mediagate, ours=True),
    Peer("Express", _express, LESS, {"NODE_ENV": "production"}),
    Peer("FastAPI", _fastapi, LESS),
)
