"""The tables of `mediagate jobs`."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mediagate.job_admin import Job
from mediagate.job_admin.orders import Order
from mediagate.job_admin.page import age
from mediagate.jobs import State
from mediagate.printable import printable, shortened

WHY_CHARACTERS = 120


def jobs_table(jobs: Sequence[Job], now: datetime) -> Table:
    """One row for each job."""
    table = Table(box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column("job", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("why", overflow="fold")
    for job in jobs:
        kind = f"{job.row['mime_type']}, {job.row['linked_to_type']}"
        table.add_row(
            f"{job.media_id}\n{escape(shortened(printable(kind), 36))}",
            f"{job.state}\n{age(now - job.since)}",
            escape(shortened(printable(job.why), WHY_CHARACTERS)),
        )
    return table


def states_table(by_state: Counter[State]) -> Table:
    """How many jobs there are in each state, in the order of a job's life."""
    table = Table(box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column("state")
    table.add_column("jobs", justify="right")
    for state in State:
        if by_state[state]:
            table.add_row(state, f"{by_state[state]:,}")
    table.add_section()
    table.add_row("all", f"{by_state.total():,}", style="bold")
    return table


def orders_table(orders: Sequence[Order]) -> Table:
    """What would become of each job."""
    table = Table(box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column("job", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("then", overflow="fold")
    for order in orders:
        table.add_row(str(order.job.media_id), order.job.state, escape(printable(order.effect)))
    return table


def jobs_of(count: int) -> str:
    """So many jobs, in words."""
    return f"{count:,} job{'' if count == 1 else 's'}"
