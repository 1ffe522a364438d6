"""Settings of a streams worker that reaches no service."""

from mediagate.settings import StreamsSettings


def streams_settings(**changes: object) -> StreamsSettings:
    required = {"kafka_bootstrap_servers": "unused:1", "database_url": "postgresql://unused@unused/unused"}
    return StreamsSettings.model_validate(required | changes)
