"""Mediagate beside what a user would pick instead: the same work, in one run, in rotation."""
