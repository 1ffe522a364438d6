"""What a reset of a group's offsets would do, and who stands in its way."""

from collections.abc import Collection
from dataclasses import dataclass

from aiokafka import TopicPartition

from mediagate.errors import ConfigurationError
from mediagate.offsets import Move, Rule, Selection, Since, plan, select, to_each
from mediagate.offsets.group import ConsumerGroup, Membership


@dataclass(frozen=True, slots=True)
class Reset:
    """What is asked for; without a selection it is every partition that the group has committed."""

    selection: Selection | None
    target: Rule | Since


@dataclass(frozen=True, slots=True)
class Effect:
    """What a reset does now; `known` is whether the group has ever committed or is of Mediagate's own."""

    moves: list[Move]
    membership: Membership
    known: bool


async def effect_of(reset: Reset, group: ConsumerGroup, declared: Collection[str]) -> Effect:
    """What a reset would do to a group that reads the declared topics at least."""
    membership = await group.membership()
    committed = await group.committed()
    existing = await group.partitions()
    if reset.selection is None:
        partitions = sorted(set(committed) & set(existing))
        if not partitions:
            raise ConfigurationError(f"--all-topics: group {group.name} has committed no offset")
    else:
        partitions = select(reset.selection, existing)
        read = {topic for topic, _ in {*committed, *membership.partitions()}}.union(declared)
        _check_read(group.name, reset.selection, read)
    moves = plan(await _rule(reset.target, group, partitions), await group.positions(partitions))
    return Effect(moves, membership, known=bool(committed or declared))


def refusal(name: str, membership: Membership) -> str | None:
    """Why a group's offsets cannot be set, if so: who is in it."""
    if not membership.active:
        return None
    members = ", ".join(sorted(map(str, membership.members))) or membership.state
    return f"group {name} is active: stop its members first: {members}"


def _check_read(name: str, selection: Selection, read: Collection[str]) -> None:
    unread = sorted(selection.keys() - read)
    # A group that nothing is known of may read anything: its first offsets are set like this.
    if read and unread:
        raise ConfigurationError(
            f"group {name} does not read {', '.join(unread)}: it reads {', '.join(sorted(read))}"
        )


async def _rule(target: Rule | Since, group: ConsumerGroup, partitions: list[TopicPartition]) -> Rule:
    if isinstance(target, Since):
        return to_each(await group.first_since(partitions, target.milliseconds))
    return target
