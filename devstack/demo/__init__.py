"""The demo: real uploads through the whole system, and an account of where each ended."""
