"""`mediagate jobs`: uploads and where they stand; sent on, or to another end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from getpass import getuser
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

import asyncpg
import typer
from rich.console import Console
from rich.markup import escape

from mediagate.cli.jobs_tables import jobs_of, jobs_table, orders_table, states_table
from mediagate.cli.options import (
    BootstrapOption,
    DryRunOption,
    ExecuteOption,
    OperatorOption,
    executes,
    settings_with,
)
from mediagate.database import connect
from mediagate.dead_letter_queue import Filters as LetterFilters
from mediagate.dead_letter_queue.log import open_log
from mediagate.dead_letter_queue.marks import Marks
from mediagate.dead_letter_queue.redrive import Found, found
from mediagate.errors import ConfigurationError, MediagateError, TransientError
from mediagate.events import OverrideVerdict
from mediagate.job_admin import Job, orders
from mediagate.job_admin.filters import Options
from mediagate.job_admin.orders import Asked, Order
from mediagate.job_admin.page import page
from mediagate.job_admin.records import JobRecords
from mediagate.jobs import State
from mediagate.media import MediaType
from mediagate.operator_actions import Action
from mediagate.process import check_database
from mediagate.publisher import KafkaPublisher
from mediagate.settings import DatabaseSettings, DeadLetterSettings, load_settings
from mediagate.topics import Topics, load_topics

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

console = Console(highlight=False)
notices = Console(stderr=True, highlight=False)

JobsArgument = Annotated[list[UUID], typer.Argument(metavar="MEDIA_ID", help="These jobs.")]


@dataclass(frozen=True, slots=True)
class Deed:
    """What retry and override do to jobs, and how they say it."""

    action: Action
    done: str
    effect: str
    details: Mapping[str, Any]
    order: Callable[[Job, Topics], Order]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    jobs = typer.Typer(no_args_is_help=True, help="Uploads: where they stand, why, and on to another end.")
    app.add_typer(jobs, name="jobs")

    @jobs.command("list")
    def list_command(
        state: Annotated[
            list[State] | None, typer.Option("--state", help="In this state. Repeatable.")
        ] = None,
        everything: Annotated[bool, typer.Option("--all", help="In any state.")] = False,
        media_type: Annotated[MediaType | None, typer.Option(help="Of this type.")] = None,
        user_id: Annotated[str | None, typer.Option(metavar="ID", help="Of this user.")] = None,
        older_than: Annotated[
            str | None, typer.Option(metavar="DURATION", help="In their state for longer, such as PT15M.")
        ] = None,
        since: Annotated[
            str | None,
            typer.Option(
                metavar="WHEN", help="Requested from a datetime on, or for a duration such as PT1H."
            ),
        ] = None,
        until: Annotated[
            str | None, typer.Option(metavar="WHEN", help="Requested before a datetime, or a duration ago.")
        ] = None,
        limit: Annotated[int, typer.Option(min=1, max=1000, help="Most that are shown.")] = 50,
    ) -> None:
        """Shows the jobs that wait, those that wait the longest first, and how many there are in each state.

        They wait for an upload, a decision, its effect or a human; --state and --all show others.
        """
        options = Options(
            state=state or (),
            media_type=media_type,
            user_id=user_id,
            since=since,
            until=until,
            older_than=older_than,
            every=everything,
        )
        asyncio.run(_list(options, limit))

    @jobs.command()
    def show(
        media_id: Annotated[UUID, typer.Argument(metavar="MEDIA_ID")],
        bootstrap_server: BootstrapOption = None,
    ) -> None:
        """Shows a job: why it is where it is, its object, decision, events, dead letters and history."""
        asyncio.run(_show(media_id, bootstrap_server))

    @jobs.command()
    def retry(
        media_ids: JobsArgument,
        operator: OperatorOption = None,
        dry_run: DryRunOption = False,
        execute: ExecuteOption = False,
        bootstrap_server: BootstrapOption = None,
    ) -> None:
        """Shows how jobs would be got going again, and with --execute sends the event that does it.

        For a queued job that of its upload, for an approved or rejected one that of its decision, for an
        unscannable one an order to scan it anew.
        """
        deed = Deed(
            Action.RETRY,
            "Sent again",
            "sends {} on",
            {},
            lambda job, topics: orders.retry(job, topics, uuid4(), _now()),
        )
        asyncio.run(_do(deed, media_ids, operator, bootstrap_server, execute=executes(dry_run, execute)))

    @jobs.command()
    def override(
        verdict: Annotated[OverrideVerdict, typer.Argument(metavar="approve|reject")],
        media_ids: JobsArgument,
        reason: Annotated[
            str, typer.Option("--reason", metavar="TEXT", help="Why, for those who ask later.")
        ],
        operator: OperatorOption = None,
        dry_run: DryRunOption = False,
        execute: ExecuteOption = False,
        bootstrap_server: BootstrapOption = None,
    ) -> None:
        """Shows what a human's verdict would do to jobs, and with --execute sends it to the sinks.

        They carry it out in both directions; only a later override changes it.
        """
        asked = Asked(verdict, reason.strip(), operator or getuser())
        deed = Deed(
            Action.OVERRIDE,
            "Sent to the sinks",
            f"{verdict}s {{}}",
            {"verdict": verdict, "reason": asked.reason},
            lambda job, topics: orders.override(job, topics, asked, uuid4(), _now()),
        )
        asyncio.run(_do(deed, media_ids, operator, bootstrap_server, execute=executes(dry_run, execute)))


@asynccontextmanager
async def _database(settings: DatabaseSettings) -> AsyncIterator["Pool"]:
    await check_database(settings)
    async with await connect(str(settings.database_url), 1) as pool:
        yield pool


async def _list(options: Options, limit: int) -> None:
    filters = options.filters(_now())
    async with _database(load_settings(DatabaseSettings)) as pool:
        listing = await JobRecords(pool, getuser(), _now).listing(filters, limit)
    if not listing.jobs:
        console.print("No such jobs.")
        return
    console.print(jobs_table(listing.jobs, _now()))
    console.print(states_table(listing.by_state))
    if listing.by_state.total() > len(listing.jobs):
        console.print(f"Shown are {len(listing.jobs):,} of {listing.by_state.total():,}.")


async def _show(media_id: UUID, bootstrap_server: str | None) -> None:
    settings = settings_with(DeadLetterSettings, bootstrap_server)
    async with _database(settings) as pool:
        records = JobRecords(pool, getuser(), _now)
        job = await records.job(media_id)
        if job is None:
            raise ConfigurationError(f"there is no job {media_id}")
        actions = await records.actions_on(job)
        letters = await _letters(settings, pool, job)
    typer.echo(page(job, actions, letters, _now()))


async def _letters(settings: DeadLetterSettings, pool: "Pool", job: Job) -> Sequence[Found] | str:
    """The dead letters that name a job; why they are not known where Kafka does not answer."""
    topic = load_topics(settings.topics_file).dead_letter.name
    meant = LetterFilters(media_id=str(job.media_id))
    try:
        async with open_log(settings.kafka_bootstrap_servers, topic) as log:
            return [each async for each in found(log, Marks(pool, topic, getuser(), _now), meant)]
    except TransientError as error:
        return f"not known: {error}"


async def _do(
    deed: Deed,
    media_ids: Sequence[UUID],
    operator: str | None,
    bootstrap_server: str | None,
    *,
    execute: bool,
) -> None:
    settings = settings_with(DeadLetterSettings, bootstrap_server)
    topics = load_topics(settings.topics_file)
    async with _database(settings) as pool:
        records = JobRecords(pool, operator or getuser(), _now)
        going = await _orders(deed, records, topics, list(dict.fromkeys(media_ids)))
        if going:
            console.print(orders_table(going))
        if going and execute:
            async with KafkaPublisher(settings.kafka_bootstrap_servers, "mediagate-jobs") as publisher:
                done = [order for order in going if await _send(deed, order, records, publisher)]
            console.print(f"[bold]{deed.done}[/bold]: {jobs_of(len(done))}.")
        elif going:
            what = deed.effect.format(jobs_of(len(going)))
            console.print(f"[bold]Dry run[/bold]: nothing is changed. --execute {what}.", soft_wrap=True)
    if len(going) < len(set(media_ids)):
        raise typer.Exit(1)


async def _orders(
    deed: Deed, records: JobRecords, topics: Topics, media_ids: Sequence[UUID]
) -> Sequence[Order]:
    """What is to be sent; says for which jobs there is nothing."""
    going = []
    for media_id in media_ids:
        job = await records.job(media_id)
        try:
            if job is None:
                raise ConfigurationError("there is no such job")
            going.append(deed.order(job, topics))
        except ConfigurationError as error:
            _left_out(media_id, error)
    return going


async def _send(deed: Deed, order: Order, records: JobRecords, publisher: KafkaPublisher) -> bool:
    """Sends an event, with a row that says so; False where the job has moved meanwhile."""
    job = order.job
    if order.attempt is not None and not await records.start_attempt(job, order.attempt):
        _left_out(job.media_id, ConfigurationError("it has moved meanwhile"))
        return False
    details = {"state": job.state, "event": order.event_id, **deed.details}
    action_id = await records.begin(deed.action, job, details)
    (target,) = await publisher.deliver([order.record])
    await records.sent(action_id, target)
    if order.attempt is not None:
        await records.mark_published(job)
    return True


def _left_out(media_id: UUID, error: MediagateError) -> None:
    notices.print(f"[yellow]{media_id} is left out: {escape(str(error))}[/yellow]", soft_wrap=True)


def _now() -> datetime:
    return datetime.now(UTC)
