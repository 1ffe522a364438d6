"""`python -m gateway`, on the port that a fleet gives its workers."""

import os
import sys

from gateway.app import main

if __name__ == "__main__":
    os.environ["PORT"] = os.environ["GATEWAY_PORT"]
    sys.exit(main())
