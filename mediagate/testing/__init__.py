"""Fakes that behave as the real parts do: both pass the same contract suites."""
