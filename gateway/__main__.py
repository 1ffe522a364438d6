"""`python -m gateway` runs the gateway until SIGTERM or SIGINT."""

import sys

from gateway.app import main

if __name__ == "__main__":
    sys.exit(main())
