"""The Modal app: `modal deploy -m scan_engine.app`, in the checkout and with `mediagate[modal]` installed."""

from functools import cache
from pathlib import Path

import modal

from mediagate.settings import MediaSettings
from scan_engine.engine import Engine

LOCK = Path(__file__).parent.parent / "requirements" / "runtime.lock"
TIMEOUT = 300
"""Seconds of one call: MODAL_TIMEOUT's default, since nobody waits for longer."""
DEADLINE = 240.0
"""Seconds in which a call answers what it can."""

app = modal.App("tomouh-scan-engine")

image = (
    modal.Image.debian_slim(python_version="3.11")
    .pip_install_from_requirements(str(LOCK))
    .add_local_python_source("mediagate", "scan_engine")
)


# The container decodes hostile files: it reaches nothing else on Modal, and its callers need not unpickle.
@app.function(
    image=image,
    cpu=2.0,
    memory=4096,
    timeout=TIMEOUT,
    include_source=False,
    restrict_modal_access=True,
    _experimental_restrict_output=True,
)
async def scan_media(payload: dict[str, object]) -> dict[str, object]:
    """Scores each job's object; raises ValueError on a faulty payload."""
    return await engine().scan(payload)


@cache
def engine() -> Engine:
    """The container's own, made at its first call; its settings are MediaSettings from the environment."""
    return Engine(MediaSettings(), DEADLINE)
