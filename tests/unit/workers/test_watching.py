"""Whose records count as waiting."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP

from workers.watching import partitions_of

PARTITION = TP("uploads", 0)


@pytest.mark.parametrize(
    ("started", "rebalancing", "partitions"),
    [(True, False, {PARTITION}), (True, True, None), (False, False, None)],
)
def test_a_worker_that_joins_may_get_any_partition(
    started: bool, rebalancing: bool, partitions: set[TP] | None
) -> None:
    consumer = SimpleNamespace(assignment=lambda: {PARTITION})
    app = SimpleNamespace(started=started, rebalancing=rebalancing, consumer=consumer)
    assert partitions_of(cast(Any, app)) == partitions
