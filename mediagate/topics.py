"""topics.yaml: every topic, declared; and what the broker lacks of it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mediagate.errors import ConfigurationError, TransientError
from mediagate.events import EventType
from mediagate.logs import without_kafka_lines
from mediagate.media import MediaType

REQUEST_TIMEOUT_MS = 15_000


class Topic(BaseModel):
    """One topic as declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    event: EventType | None
    key: str
    partitions: int = Field(gt=0)
    replication_factor: int = Field(gt=0)
    config: Mapping[str, str] = Field(default_factory=dict)
    producers: tuple[str, ...]
    consumers: tuple[str, ...]


class Topics(BaseModel):
    """All topics, by the part that each plays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    upload_completed_image: Topic
    upload_completed_video: Topic
    approved: Topic
    rejected: Topic
    held: Topic
    overrides: Topic
    published: Topic
    quarantined: Topic
    dead_letter: Topic

    def all(self) -> tuple[Topic, ...]:
        """Every declared topic, in the order in which data flows."""
        return tuple(getattr(self, name) for name in type(self).model_fields)

    def upload_completed(self, media_type: MediaType) -> Topic:
        """The topic of a media type's completed uploads."""
        topics = {MediaType.IMAGE: self.upload_completed_image, MediaType.VIDEO: self.upload_completed_video}
        return topics[media_type]

    def of_sinks(self) -> tuple[Topic, ...]:
        """What the sinks carry out: decisions, and humans' overrides."""
        return (self.approved, self.rejected, self.held, self.overrides)

    def of_event(self, event_type: EventType) -> Topic:
        """The one topic that carries an event type; upload-completed has one per media type."""
        (topic,) = self._of_events[event_type]
        return topic

    @cached_property
    def _of_events(self) -> Mapping[EventType, Sequence[Topic]]:
        return {each: [topic for topic in self.all() if topic.event is each] for each in EventType}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between a declared topic and the broker's."""

    topic: Topic
    action: str
    current: str
    wanted: str
    possible: bool = True


def load_topics(path: Path) -> Topics:
    """Reads topics.yaml; raises ConfigurationError that names the file and the faulty field."""
    try:
        return Topics.model_validate(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise ConfigurationError(f"topics file {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"topics file {path}: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        raise ConfigurationError(
            f"topics file {path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
        ) from error


class TopicAdmin:
    """Compares declared topics with a broker's and applies the difference."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._client = AIOKafkaAdminClient(
            bootstrap_servers=bootstrap_servers,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            client_id="mediagate-topics",
        )

    async def __aenter__(self) -> "TopicAdmin":
        try:
            with without_kafka_lines():
                await self._client.start()
        except KafkaError as error:
            await self._client.close()
            raise TransientError(f"Kafka does not answer: {error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def missing(self, topics: Topics) -> list[str]:
        """Names of declared topics that the broker does not have."""
        existing = set(await self._client.list_topics())
        return [topic.name for topic in topics.all() if topic.name not in existing]

    async def plan(self, topics: Topics) -> list[Change]:
        """What `apply` would do; fewer partitions than the broker has is reported as impossible."""
        existing = set(await self._client.list_topics())
        present = [topic for topic in topics.all() if topic.name in existing]
        changes = [_creation(topic) for topic in topics.all() if topic.name not in existing]
        if present:
            partitions = await self._partition_counts(present)
            configs = await self._configs(present)
            for topic in present:
                changes += _partition_changes(topic, partitions[topic.name])
                changes += _config_changes(topic, configs[topic.name])
        return changes

    async def apply(self, changes: list[Change]) -> None:
        """Makes every possible change of a plan."""
        created = [change.topic for change in changes if change.action == "create"]
        await self._create(created)
        await self._wait_for_leaders(created)
        for change in changes:
            if not change.possible or change.action == "create":
                continue
            if change.action == "partitions":
                await self._client.create_partitions(
                    {change.topic.name: NewPartitions(change.topic.partitions)}
                )
            else:
                await self._client.alter_configs(
                    [ConfigResource(ConfigResourceType.TOPIC, change.topic.name, dict(change.topic.config))]
                )

    async def _create(self, topics: list[Topic]) -> None:
        if not topics:
            return
        new = [
            NewTopic(topic.name, topic.partitions, topic.replication_factor, topic_configs=dict(topic.config))
            for topic in topics
        ]
        response = await self._client.create_topics(new)
        for name, code, *detail in response.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                message = " ".join(map(str, detail)) or error.__name__
                raise ConfigurationError(f"topic {name} cannot be created: {message}")

    async def _wait_for_leaders(self, topics: list[Topic]) -> None:
        # A broker knows a new topic a little later than the controller that made it, without a word.
        async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
            while topics and not all(map(_is_led, await self._describe(topics))):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def _describe(self, topics: list[Topic]) -> list[dict[str, Any]]:
        described: list[dict[str, Any]] = await self._client.describe_topics([topic.name for topic in topics])
        return described

    async def _partition_counts(self, topics: list[Topic]) -> dict[str, int]:
        return {str(entry["topic"]): len(entry["partitions"]) for entry in await self._describe(topics)}

    async def _configs(self, topics: list[Topic]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics]
        responses = await self._client.describe_configs(resources)
        return {
            str(resource[3]): {str(entry[0]): str(entry[1]) for entry in resource[4]}
            for response in responses
            for resource in response.resources
        }


def _is_led(described: dict[str, Any]) -> bool:
    partitions = described["partitions"]
    return bool(partitions) and all(partition["leader"] >= 0 for partition in partitions)


def _creation(topic: Topic) -> Change:
    return Change(topic, "create", "missing", f"{topic.partitions} partitions")


def _partition_changes(topic: Topic, current: int) -> list[Change]:
    if current == topic.partitions:
        return []
    possible = current < topic.partitions
    return [Change(topic, "partitions", str(current), str(topic.partitions), possible)]


def _config_changes(topic: Topic, current: Mapping[str, str]) -> list[Change]:
    return [
        Change(topic, f"config {key}", current.get(key, "unset"), value)
        for key, value in topic.config.items()
        if current.get(key) != value
    ]
