"""`mediagate policy`: what a policy says, and what it would have changed."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mediagate.backtest import Backtest, Flip
from mediagate.cli.flips import FlipFile, flip_file, show_changes, show_flips
from mediagate.datetimes import parse_instant
from mediagate.decision_log import TimeRange, open_decision_log
from mediagate.errors import ConfigurationError
from mediagate.policy import Policy, load_policy, missing_categories
from mediagate.settings import TopicSettings, load_settings
from mediagate.topics import load_topics

SHOWN = 50
"""Flips, and records that are no decisions, that are named on the terminal."""

console = Console(highlight=False)
progress_console = Console(stderr=True)

PolicyFile = Annotated[Path, typer.Argument(metavar="FILE", help="A policy, such as policy.yaml.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    policy = typer.Typer(no_args_is_help=True, help="Checks a policy, and tries it on recorded decisions.")
    app.add_typer(policy, name="policy")

    @policy.command()
    def check(file: PolicyFile) -> None:
        """Shows a policy; names file, line and field where it is faulty."""
        _show(load_policy(file))

    @policy.command()
    def backtest(
        file: PolicyFile,
        from_datetime: Annotated[
            str, typer.Option(metavar="DATETIME", help="First instant, UTC where it names no zone.")
        ],
        to_datetime: Annotated[
            str | None, typer.Option(metavar="DATETIME", help="First instant after; unset is now.")
        ] = None,
        csv: Annotated[Path, typer.Option(help="Where every flip is written.")] = Path("backtest.csv"),
    ) -> None:
        """Decides recorded decisions again, calls no scanner, and shows what would change."""
        time_range = _time_range(from_datetime, to_datetime)
        run = _Run(Backtest(load_policy(file)))
        settings = load_settings(TopicSettings)
        with flip_file(csv) as flips:
            asyncio.run(run.read(settings, time_range, flips))
        run.show(csv)


class _Run:
    """A backtest with what the terminal shows of it."""

    def __init__(self, backtest: Backtest) -> None:
        self._backtest = backtest
        self._flips: list[Flip] = []
        self._undecodable: list[str] = []
        self._undecodable_count = 0

    async def read(self, settings: TopicSettings, time_range: TimeRange, file: FlipFile) -> None:
        topics = load_topics(settings.topics_file)
        async with open_decision_log(settings.kafka_bootstrap_servers, topics, time_range) as log:
            with _progress() as progress:
                task = progress.add_task("reading decisions", total=log.offsets)
                async for chunk in log.read():
                    for event in chunk.decisions:
                        self._keep(self._backtest.add(event), file)
                    self._undecodable += chunk.undecodable[: SHOWN - len(self._undecodable)]
                    self._undecodable_count += len(chunk.undecodable)
                    progress.advance(task, chunk.offsets)

    def _keep(self, flip: Flip | None, file: FlipFile) -> None:
        if flip is None:
            return
        file.add(flip)
        if len(self._flips) < SHOWN:
            self._flips.append(flip)

    def show(self, path: Path) -> None:
        backtest, flipped = self._backtest, self._backtest.flipped
        if backtest.decisions:
            show_changes(console, backtest)
        if flipped:
            show_flips(console, self._flips, flipped)
        console.print(
            f"Policy {backtest.policy.version}: {backtest.redecided:,} re-decided, "
            f"{backtest.redecided - flipped:,} unchanged, [bold]{flipped:,} flipped[/bold]. "
            f"By block list or recovery: {backtest.independent:,}. Repeated: {backtest.repeated:,}. "
            f"Undecodable: {self._undecodable_count:,}.",
            soft_wrap=True,
        )
        for position in self._undecodable:
            console.print(f"[yellow]undecodable: {escape(position)}[/yellow]", soft_wrap=True)
        if self._undecodable_count > len(self._undecodable):
            console.print(f"[yellow]and {self._undecodable_count - len(self._undecodable):,} more[/yellow]")
        console.print(f"Every flip: {escape(str(path))}", soft_wrap=True)


def _show(policy: Policy) -> None:
    table = Table("linked_to_type", "scanners", "unscannable", "category", title=f"Policy {policy.version}")
    table.box = SIMPLE_HEAD
    for column in ("hold at", "reject at"):
        table.add_column(column, justify="right")
    for linked_to_type, rule in policy.rules().items():
        scanners = "any" if rule.scanners is None else ", ".join(sorted(rule.scanners))
        first = [linked_to_type, scanners, rule.unscannable]
        for category, thresholds in sorted(rule.thresholds.items()):
            table.add_row(*first, escape(category), f"{thresholds.hold:g}", f"{thresholds.reject:g}")
            first = ["", "", ""]
        table.add_section()
    console.print(table)
    for linked_to_type, rule in policy.rules().items():
        for scanner, categories in missing_categories(rule).items():
            console.print(
                f"[yellow]{linked_to_type}: no threshold for {', '.join(categories)}: "
                f"whatever {scanner} scores would wait for a human[/yellow]",
                soft_wrap=True,
            )


def _time_range(start: str, end: str | None) -> TimeRange:
    time_range = TimeRange(
        parse_instant("--from-datetime", start), None if end is None else parse_instant("--to-datetime", end)
    )
    if time_range.end is not None and time_range.end <= time_range.start:
        raise ConfigurationError(f"--to-datetime: {end} is not after --from-datetime {start}")
    return time_range


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=progress_console,
    )
