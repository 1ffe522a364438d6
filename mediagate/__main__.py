"""`python -m mediagate`: the command line."""

from mediagate.cli import main

if __name__ == "__main__":
    main()
