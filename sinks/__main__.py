"""`python -m sinks`: the sinks process."""

import sys

from mediagate.process import run_process
from sinks.app import run

if __name__ == "__main__":
    sys.exit(run_process("sinks", run))
