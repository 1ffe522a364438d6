"""The scan engine: the local scanner as a function on Modal."""
