"""`mediagate dlq`: dead letters seen, sent back to where they came from, or set aside."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from getpass import getuser
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from mediagate.cli.dlq_tables import effect_table, letters_of, letters_table, totals_table
from mediagate.cli.options import (
    BootstrapOption,
    DryRunOption,
    ExecuteOption,
    OperatorOption,
    executes,
    settings_with,
)
from mediagate.database import connect
from mediagate.datetimes import shown_time
from mediagate.dead_letter_queue import Filters, Letter, Position, State, parse_position, ways_back
from mediagate.dead_letter_queue.log import DeadLetterLog, open_log
from mediagate.dead_letter_queue.marks import Marks
from mediagate.dead_letter_queue.options import Options, parse_rate
from mediagate.dead_letter_queue.page import page
from mediagate.dead_letter_queue.redrive import Act, Found, found, redriving, work_off
from mediagate.dead_letter_queue.summary import Newest
from mediagate.errors import ConfigurationError, StopError
from mediagate.printable import printable
from mediagate.process import check_database, with_signals
from mediagate.publisher import KafkaPublisher
from mediagate.settings import DeadLetterSettings
from mediagate.topics import load_topics

console = Console(highlight=False)
notices = Console(stderr=True, highlight=False)

PositionsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="PARTITION:OFFSET", help="These letters.")
]
ReasonOption = Annotated[
    list[str] | None, typer.Option("--reason", metavar="REASON", help="With this reason. Repeatable.")
]
TopicOption = Annotated[
    str | None, typer.Option("--topic", metavar="TOPIC", help="That came from this topic.")
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="From a datetime on, or for a duration such as PT1H."),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="Before a datetime, or a duration ago.")
]
MediaIdOption = Annotated[UUID | None, typer.Option("--media-id", help="That name this upload.")]
EveryOption = Annotated[bool, typer.Option("--all", help="Every open letter.")]


@dataclass(frozen=True, slots=True)
class Queue:
    """The dead letters, and what operators made of them."""

    topic: str
    ways_back: frozenset[str]
    servers: str
    log: DeadLetterLog
    marks: Marks

    async def found(self, filters: Filters, states: Sequence[State]) -> AsyncIterator[Found]:
        """Letters that are meant and in one of these states."""
        async for each in found(self.log, self.marks, filters):
            if each.state in states:
                yield each


@dataclass(frozen=True, slots=True)
class Job:
    """What redrive and discard do to letters, and how they say it; `takes_again` only what is named."""

    verb: str
    done: str
    effect: str
    needs_way_back: bool
    takes_again: tuple[State, ...]


REDRIVE = Job(
    "redrive",
    "redriven",
    "sends {} back",
    needs_way_back=True,
    takes_again=(State.DISCARDED,),
)
DISCARD = Job("discard", "discarded", "marks {} as discarded", needs_way_back=False, takes_again=())


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    dlq = typer.Typer(no_args_is_help=True, help="Dead letters: records that could not be worked on.")
    app.add_typer(dlq, name="dlq")

    @dlq.command("list")
    def list_command(
        reason: ReasonOption = None,
        topic: TopicOption = None,
        since: SinceOption = None,
        until: UntilOption = None,
        media_id: MediaIdOption = None,
        everything: Annotated[
            bool, typer.Option("--all", help="Those that were redriven or discarded, too.")
        ] = False,
        limit: Annotated[int, typer.Option(min=1, max=1000, help="Most that are shown.")] = 50,
        bootstrap_server: BootstrapOption = None,
    ) -> None:
        """Shows the newest dead letters that are open, and how many there are of each reason."""
        options = Options(reason=reason or (), topic=topic, since=since, until=until, media_id=media_id)
        states = list(State) if everything else [State.OPEN]
        asyncio.run(_list(options.filters(_now()), states, limit, bootstrap_server))

    @dlq.command()
    def show(
        position: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="As list shows it.")],
        bootstrap_server: BootstrapOption = None,
    ) -> None:
        """Shows a dead letter: why, where from, its content, and what operators made of it."""
        asyncio.run(_show(parse_position(position), bootstrap_server))

    @dlq.command()
    def redrive(
        positions: PositionsArgument = None,
        reason: ReasonOption = None,
        topic: TopicOption = None,
        since: SinceOption = None,
        until: UntilOption = None,
        media_id: MediaIdOption = None,
        every: EveryOption = False,
        rate: Annotated[str | None, typer.Option("--rate", metavar="N/s", help="Most a second.")] = None,
        operator: OperatorOption = None,
        dry_run: DryRunOption = False,
        execute: ExecuteOption = False,
        bootstrap_server: BootstrapOption = None,
    ) -> None:
        """Shows what sending letters to where they came from would do, and with --execute sends them.

        Each goes as it arrived, byte for byte, without the headers that made it a dead letter.

        Filters select open letters alone. What fails again is a new dead letter.
        """
        options = Options(
            positions=positions or (),
            reason=reason or (),
            topic=topic,
            since=since,
            until=until,
            media_id=media_id,
            every=every,
        )
        asyncio.run(
            _redrive(
                options, parse_rate(rate), operator, bootstrap_server, execute=executes(dry_run, execute)
            )
        )

    @dlq.command()
    def discard(
        note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for those who ask later.")],
        positions: PositionsArgument = None,
        reason: ReasonOption = None,
        topic: TopicOption = None,
        since: SinceOption = None,
        until: UntilOption = None,
        media_id: MediaIdOption = None,
        every: EveryOption = False,
        operator: OperatorOption = None,
        dry_run: DryRunOption = False,
        execute: ExecuteOption = False,
        bootstrap_server: BootstrapOption = None,
    ) -> None:
        """Shows which letters would be marked as discarded, and with --execute marks them.

        The records stay until Kafka's retention ends; a discarded one can be redriven by its position.
        """
        options = Options(
            positions=positions or (),
            reason=reason or (),
            topic=topic,
            since=since,
            until=until,
            media_id=media_id,
            every=every,
        )
        if not note.strip():
            raise ConfigurationError("--note: say why")
        asyncio.run(_discard(options, note, operator, bootstrap_server, execute=executes(dry_run, execute)))


@asynccontextmanager
async def _queue(bootstrap_server: str | None, operator: str | None = None) -> AsyncIterator[Queue]:
    settings = settings_with(DeadLetterSettings, bootstrap_server)
    topics = load_topics(settings.topics_file)
    topic, servers = topics.dead_letter.name, settings.kafka_bootstrap_servers
    await check_database(settings)
    async with open_log(servers, topic) as log, await connect(str(settings.database_url), 1) as pool:
        yield Queue(topic, ways_back(topics), servers, log, Marks(pool, topic, operator or getuser(), _now))


async def _list(filters: Filters, states: Sequence[State], limit: int, bootstrap_server: str | None) -> None:
    async with _queue(bootstrap_server) as queue:
        newest = Newest(limit)
        async for each in queue.found(filters, states):
            newest.add(each)
        shown = newest.letters
        earlier = await queue.marks.earlier([each.letter for each in shown])
    if not shown:
        console.print("No dead letters." if len(states) > 1 else "No open dead letters.")
        return
    console.print(letters_table(shown, {origin: len(actions) for origin, actions in earlier.items()}))
    console.print(totals_table(newest.by_reason))
    if newest.by_reason.total() > len(shown):
        console.print(f"Shown are the newest {len(shown):,} of {newest.by_reason.total():,}.")


async def _show(position: Position, bootstrap_server: str | None) -> None:
    async with _queue(bootstrap_server) as queue:
        letter = await queue.log.at(position)
        mark = (await queue.marks.latest([letter])).get(position)
        earlier = (await queue.marks.earlier([letter])).get(letter.origin, [])
        actions = [*earlier, *await queue.marks.on(letter)]
    typer.echo(page(queue.topic, Found(letter, mark), len(earlier), actions))


async def _redrive(
    options: Options, rate: int | None, operator: str | None, bootstrap_server: str | None, *, execute: bool
) -> None:
    selection = options.selection(_now())
    async with _queue(bootstrap_server, operator) as queue:
        count = await _announce(queue, REDRIVE, selection, execute=execute)
        if execute and count:
            async with KafkaPublisher(queue.servers, "mediagate-dlq") as publisher:
                act = redriving(queue.marks, publisher.deliver)
                await _carry_out(queue, REDRIVE, selection, act, rate, count)


async def _discard(
    options: Options, note: str, operator: str | None, bootstrap_server: str | None, *, execute: bool
) -> None:
    selection = options.selection(_now())
    async with _queue(bootstrap_server, operator) as queue:
        count = await _announce(queue, DISCARD, selection, execute=execute)

        async def act(letters: Sequence[Letter]) -> None:
            await queue.marks.discard(letters, note)

        if execute and count:
            await _carry_out(queue, DISCARD, selection, act, None, count)


async def _announce(queue: Queue, job: Job, selection: Sequence[Position] | Filters, *, execute: bool) -> int:
    """Says what would be done; the number of letters."""
    await _left_out(queue, job, selection)
    going: Counter[tuple[str, str]] = Counter()
    staying: Counter[str] = Counter()
    async for letter in _selected(queue, job, selection):
        if job.needs_way_back and letter.origin_topic not in queue.ways_back:
            staying[letter.origin_topic] += 1
        else:
            going[letter.reason, letter.origin_topic] += 1
    for topic, count in sorted(staying.items()):
        what = f"{letters_of(count)} of {escape(topic)}"
        notices.print(f"[yellow]{what} cannot be redriven: no worker reads it[/yellow]", soft_wrap=True)
    if not going:
        console.print(f"Nothing to {job.verb}.")
        return 0
    console.print(effect_table(going))
    if not execute:
        what = job.effect.format(letters_of(going.total()))
        console.print(f"[bold]Dry run[/bold]: nothing is changed. --execute {what}.", soft_wrap=True)
    return going.total()


async def _carry_out(
    queue: Queue,
    job: Job,
    selection: Sequence[Position] | Filters,
    act: Act,
    rate: int | None,
    count: int,
) -> None:
    async def going() -> AsyncIterator[Letter]:
        async for letter in _selected(queue, job, selection):
            if not job.needs_way_back or letter.origin_topic in queue.ways_back:
                yield letter

    done = 0

    async def until_stopped(stop: asyncio.Event) -> None:
        nonlocal done
        with _progress(job, count) as told:
            done = await work_off(going(), act, rate, stop, told)
        if stop.is_set() and done < count:
            raise StopError(
                f"stopped: {job.done} are {done:,} of {count:,}; the same command goes on with the rest"
            )

    await with_signals(until_stopped)
    console.print(f"[bold]{job.done.capitalize()}[/bold]: {letters_of(done)}.")


async def _selected(queue: Queue, job: Job, selection: Sequence[Position] | Filters) -> AsyncIterator[Letter]:
    if isinstance(selection, Filters):
        async for each in queue.found(selection, [State.OPEN]):
            yield each.letter
        return
    for position in selection:
        letter = await queue.log.at(position)
        mark = (await queue.marks.latest([letter])).get(position)
        if mark is None or mark.state in job.takes_again:
            yield letter


async def _left_out(queue: Queue, job: Job, selection: Sequence[Position] | Filters) -> None:
    """Says which of the letters that were named are done with already."""
    for position in () if isinstance(selection, Filters) else selection:
        letter = await queue.log.at(position)
        mark = (await queue.marks.latest([letter])).get(position)
        if mark is not None and mark.state not in job.takes_again:
            who = escape(printable(mark.operator))
            notices.print(
                f"[yellow]{position} is left out: {who} has {mark.state} it, {shown_time(mark.at)}[/yellow]",
                soft_wrap=True,
            )


@contextmanager
def _progress(job: Job, count: int) -> Iterator[Callable[[int], None]]:
    with Progress(console=notices, transient=True, disable=not notices.is_terminal) as bar:
        task = bar.add_task(job.verb, total=count)
        yield lambda done: bar.advance(task, done)


def _now() -> datetime:
    return datetime.now(UTC)
