"""`python -m sinks` with a session that ends sooner.

`new-name-each-time` makes the fault that the checker must find.
"""

import sys
from collections.abc import Sequence
from uuid import uuid4

from mediagate.process import run_process
from sinks import app
from sinks.destinations import Destination
from sinks.effects import Effects
from sinks.jobs import Job
from tests.faults.script import SESSION_TIMEOUT
from workers import app as workers_app


def new_name_each_time(self: Effects, job: Job) -> Sequence[Destination]:
    """The fault: a repetition does not find what was done before."""
    return [Destination(self._settings.default_bucket, f"{uuid4()}")]


if __name__ == "__main__":
    workers_app.SESSION_TIMEOUT = SESSION_TIMEOUT
    if "new-name-each-time" in sys.argv:
        Effects._destinations = new_name_each_time  # type: ignore[method-assign]
    sys.exit(run_process("sinks", app.run))
