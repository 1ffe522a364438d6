"""Which partitions the gauge of a group's lag has series of."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from faust.types import TP
from prometheus_client import REGISTRY

from workers.lag_gauge import LagGauge

FIRST, SECOND = TP("uploads", 0), TP("uploads", 1)


@pytest.fixture
def group() -> str:
    return uuid4().hex


@pytest.fixture
def gauge(group: str) -> Iterator[LagGauge]:
    shown = LagGauge(group)
    yield shown
    shown.show({})


def series(group: str, tp: TP) -> float | None:
    labels = {"consumergroup": group, "topic": tp.topic, "partition": str(tp.partition)}
    return REGISTRY.get_sample_value("kafka_consumergroup_lag", labels)


def test_it_shows_what_waits_and_0_where_nothing_does(gauge: LagGauge, group: str) -> None:
    gauge.show({FIRST: 7, SECOND: 0})
    assert (series(group, FIRST), series(group, SECOND)) == (7, 0)
    gauge.show({FIRST: 3, SECOND: 1})
    assert (series(group, FIRST), series(group, SECOND)) == (3, 1)


def test_a_partition_that_is_another_members_now_has_no_series(gauge: LagGauge, group: str) -> None:
    gauge.show({FIRST: 7, SECOND: 2})
    gauge.show({SECOND: 2})
    assert (series(group, FIRST), series(group, SECOND)) == (None, 2)
    gauge.show({FIRST: 1})
    assert (series(group, FIRST), series(group, SECOND)) == (1, None)
