"""How much waits for a member of a consumer group, for Prometheus."""

from collections.abc import Mapping

from faust.types import TP

from mediagate.metrics import LAG


class LagGauge:
    """Has a series for each partition that is ours, and none for those that are not any more."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._shown: frozenset[TP] = frozenset()

    def show(self, lag: Mapping[TP, int]) -> None:
        """Shows these partitions' records that wait, and no others."""
        # Not clear() first: a scrape may come in between.
        for tp, records in lag.items():
            LAG.labels(self._group, tp.topic, tp.partition).set(records)
        for tp in self._shown - lag.keys():
            LAG.remove(self._group, tp.topic, tp.partition)
        self._shown = frozenset(lag)
