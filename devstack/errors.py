"""The one error that the embedded services raise."""


class DevstackError(Exception):
    """An embedded service cannot do what was asked; the message is one line for a person."""
