"""Datetimes as people write and read them on a command line."""

from datetime import UTC, datetime

from mediagate.errors import ConfigurationError


def parse_instant(option: str, text: str) -> datetime:
    """The datetime, in UTC where it names no zone; raises ConfigurationError that names the option."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{option}: {text!r} is no datetime such as 2025-01-31T18:30:00.000"
        ) from error
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def shown_time(instant: datetime) -> str:
    """In UTC, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
