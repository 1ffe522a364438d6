"""Failures, by what must happen next. A verdict is a value; only a failure is an exception.

MediagateError
├── TransientError       try again later: nothing was decided, nothing is acknowledged
├── DeadLetterError      this record can never work: it goes to the dead-letter topic
├── RefusedError         these inputs together can never work: in smaller parts they may
├── ObjectChangedError   the bytes are not those that were accepted: this upload can never be published
└── StopError            this process must not go on
    └── ConfigurationError   one line for the operator, no traceback
"""


class MediagateError(Exception):
    """Base of every failure that Mediagate raises on purpose."""


class TransientError(MediagateError):
    """A dependency did not answer as it should; the same call may work later."""


class DeadLetterError(MediagateError):
    """A record that no retry can make acceptable."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class RefusedError(MediagateError):
    """A scanner refuses this batch for good; which of its items is at fault, smaller batches tell."""


class ObjectChangedError(MediagateError):
    """The object's bytes are not those that were accepted: it is gone, or its ETag differs."""


class StopError(MediagateError):
    """Going on could lose or publish something; the supervisor starts the process again."""


class ConfigurationError(StopError):
    """The process cannot start as it is configured."""
