"""What a run was, for people."""

from collections import Counter
from dataclasses import dataclass, field

from mediagate.jobs import State
from tests.faults.checker import Evidence
from tests.faults.stage import Stage


@dataclass
class Report:
    """Filled in while a run goes on."""

    seed: int
    struck: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    seconds: float = 0.0
    settled_after: float = 0.0
    violations: list[str] = field(default_factory=list)

    def text(self, stage: Stage, evidence: Evidence) -> str:
        """The report as Markdown."""
        ends = Counter(str(job["state"]) for job in evidence.jobs)
        decisions, news = evidence.of(evidence.layout.decisions), evidence.of(evidence.layout.news)
        exits = Counter[int]()
        for worker in (*stage.streams, *stage.sinks):
            exits.update(worker.ends)
        lines = [
            f"FAULTS_SEED={self.seed}",
            "",
            f"- time: {self.seconds:.0f} s, and {self.settled_after:.0f} s until all was quiet",
            f"- uploads accepted: {len(evidence.accepted)}",
            *(f"  - {state}: {ends[state]}" for state in State if ends[state]),
            f"- decisions: {len(decisions)}, of them different: {len({each.id for each in decisions})}",
            f"- news told: {len(news)}, of them different: {len({each.id for each in news})}",
            f"- faults struck: {self.struck.total()}, processes killed: {self.kills}",
            f"- faults that struck nobody, after three tries: {_listed(self.missed) or 'none'}",
            f"- workers' exits (code: times): {_listed(exits)}",
            f"- replies lost: {stage.s3.lost_replies} of S3, {stage.postgres.lost_replies} of PostgreSQL;"
            f" connections reset: {stage.s3.resets} and {stage.postgres.resets}",
            f"- moments at which offsets were compared: {len(evidence.moments)}",
            f"- violations: {len(self.violations)}",
            *(f"  - {line}" for line in self.violations),
            "",
            "| fault | struck |",
            "| --- | --- |",
            *(f"| {name} | {times} |" for name, times in sorted(self.struck.items())),
        ]
        return "\n".join(lines) + "\n"


def _listed(counts: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{name}: {times}" for name, times in sorted(counts.items()))
