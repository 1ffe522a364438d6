"""`python -m streams`: the streams process."""

import sys

from mediagate.process import run_process
from streams.app import run

if __name__ == "__main__":
    sys.exit(run_process("streams", run))
