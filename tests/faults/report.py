"""What a run was, for people."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil

import psutil

from mediagate.jobs import State
from tests.faults.checker import Evidence
from tests.faults.fleet import Worker
from tests.faults.proxy import Proxy
from tests.faults.stage import Stage

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process holds, with its children: bytes, and open descriptors."""

    pid: int
    memory: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Episode:
    """How all was when it had come to rest: `recovery` seconds after the last fault."""

    accepted: int
    struck: int
    recovery: float
    streams: Footprint | None
    sinks: Footprint | None


@dataclass
class Report:
    """Filled in while a run goes on."""

    seed: int
    struck: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    seconds: float = 0.0
    episodes: list[Episode] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def add(self, recovery: float, stage: Stage) -> None:
        """Notes that an episode has ended, and how the first worker of each kind is."""
        before = sum(episode.struck for episode in self.episodes)
        struck, accepted = self.struck.total() - before, len(stage.accepted)
        holds = (_footprint(stage.streams[0]), _footprint(stage.sinks[0]))
        self.episodes.append(Episode(accepted, struck, recovery, *holds))

    def text(self, stage: Stage, evidence: Evidence) -> str:
        """The report as Markdown."""
        ends = Counter(str(job["state"]) for job in evidence.jobs)
        decisions, news = evidence.of(evidence.layout.decisions), evidence.of(evidence.layout.news)
        exits = Counter[int]()
        for worker in stage.everyone:
            exits.update(worker.ends)
        recoveries = [episode.recovery for episode in self.episodes]
        lines = [
            f"FAULTS_SEED={self.seed}",
            "",
            f"- time: {self.seconds:.0f} s",
            f"- seconds from the last fault until all was at rest: median {_share(recoveries, 0.5):.0f},"
            f" 99 % {_share(recoveries, 0.99):.0f}, of {len(recoveries)}",
            f"- uploads accepted: {len(evidence.accepted)}",
            *(f"  - {state}: {ends[state]}" for state in State if ends[state]),
            f"- decisions: {len(decisions)}, of them different: {len({each.id for each in decisions})}",
            f"- news told: {len(news)}, of them different: {len({each.id for each in news})}",
            f"- faults struck: {self.struck.total()}, processes killed: {self.kills}",
            f"- faults that struck nobody, after three tries: {_listed(self.missed) or 'none'}",
            f"- workers' exits (code: times): {_listed(exits)}",
            *(f"- network of {name}: {_done_to(proxy)}" for name, proxy in stage.proxies.items()),
            f"- answers of S3 spoiled: {stage.s3.spoiled}",
            f"- moments at which offsets were compared: {len(evidence.moments)}",
            f"- violations: {len(self.violations)}",
            *(f"  - {line}" for line in self.violations),
            "",
            *self._episodes(),
            "| fault | struck |",
            "| --- | --- |",
            *(f"| {name} | {times} |" for name, times in sorted(self.struck.items())),
        ]
        return "\n".join(lines) + "\n"

    def _episodes(self) -> Iterator[str]:
        if len(self.episodes) > 1:
            yield "| episode | faults | uploads | at rest after | first streams worker | first sinks worker |"
            yield "| --- | --- | --- | --- | --- | --- |"
            for number, each in enumerate(self.episodes, 1):
                holds = f"{_held(each.streams)} | {_held(each.sinks)}"
                yield f"| {number} | {each.struck} | {each.accepted} | {each.recovery:.0f} s | {holds} |"
            yield ""


def _footprint(worker: Worker) -> Footprint | None:
    """None where the process is just being started again."""
    if worker.pid is None:
        return None
    try:
        process = psutil.Process(worker.pid)
        memory = sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))
        return Footprint(process.pid, memory, process.num_fds())
    except psutil.NoSuchProcess:
        return None


def _held(footprint: Footprint | None) -> str:
    if footprint is None:
        return "away"
    return f"{footprint.memory / MIB:.0f} MiB, {footprint.descriptors} descriptors, pid {footprint.pid}"


def _done_to(proxy: Proxy) -> str:
    return (
        f"{proxy.lost_replies} replies lost, {proxy.resets} connections reset, {proxy.delays} chunks delayed"
    )


def _share(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return sorted(values)[ceil(share * len(values)) - 1]


def _listed(counts: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{name}: {times}" for name, times in sorted(counts.items()))
