"""`mediagate doctor`: which scanners can be used, and why not."""

import asyncio
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.table import Table

from mediagate.errors import ConfigurationError, MediagateError
from mediagate.media import MediaType
from mediagate.media_pool import MediaPool
from mediagate.scanners.opening import canary_picture, open_scanner
from mediagate.scanners.routes import ScannerName, routed_scanners
from mediagate.settings import StreamsSettings, load_settings

DEADLINE = 30.0
"""Seconds that a scanner gets to answer."""

console = Console()


@dataclass(frozen=True, slots=True)
class Finding:
    """What is the matter with one scanner; no trouble where it can be used."""

    scanner: ScannerName
    trouble: str | None


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command()
    def doctor() -> None:
        """Says which scanners can be used and why not, and where batches go; nothing is scanned."""
        settings = load_settings(StreamsSettings)
        findings = asyncio.run(_examine(settings))
        console.print(_scanners(settings, findings), _routes(settings))
        broken = [each.scanner for each in findings if each.trouble and each.scanner in settings.scanners()]
        if broken:
            raise ConfigurationError(f"a route names {', '.join(broken)}, which cannot be used")


async def _examine(settings: StreamsSettings) -> list[Finding]:
    with MediaPool(settings) as pool:
        return [Finding(name, await _trouble(name, settings, pool)) for name in ScannerName]


async def _trouble(name: ScannerName, settings: StreamsSettings, pool: MediaPool) -> str | None:
    try:
        async with asyncio.timeout(DEADLINE), open_scanner(name, settings, pool) as scanner:
            await scanner.check()
    except TimeoutError:
        return f"does not answer within {DEADLINE:.0f} s"
    except MediagateError as error:
        return str(error)
    return None


def _scanners(settings: StreamsSettings, findings: list[Finding]) -> Table:
    table = Table("scanner", "usable", "routed for", "canary", "why not")
    for finding in findings:
        routed = [each for each in MediaType if finding.scanner in routed_scanners(settings.routes(each))]
        table.add_row(
            finding.scanner,
            "[red]no[/red]" if finding.trouble else "[green]yes[/green]",
            ", ".join(routed),
            "yes" if canary_picture(finding.scanner, settings) else "no",
            finding.trouble or "",
        )
    return table


def _routes(settings: StreamsSettings) -> Table:
    table = Table("media type", "batch", "scanner", "fallback")
    for media_type in MediaType:
        for route in settings.routes(media_type):
            batch = "any size" if route.max_batch is None else f"up to {route.max_batch}"
            table.add_row(media_type, batch, route.scanner, route.fallback or "")
    return table
