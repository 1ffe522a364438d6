"""What the measured figures come to for so many uploads a day: the tables of docs/scaling.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import yaml

from benchmarks.results import Measurement, load, put_table
from benchmarks.topics import TOPICS_FILE
from mediagate.event_examples import EXAMPLES
from mediagate.events import EventType, OutgoingRecord

DAY = 86_400
MONTH = 30
"""Days."""
UPLOADS_A_DAY = (10_000_000, 1_000_000_000)

PEAK = 3.0
"""Busiest second beside the mean one."""
VIDEOS = 0.1
"""Share of uploads; the rest are images."""
VIDEO_SECONDS = 30.0
KNOWN = 0.2
"""Share of uploads whose bytes were judged before."""
BUSY = 0.6
"""Share of a core that is planned with at the peak."""
WORKERS_PARTITIONS = 2
"""Partitions a worker: as many again may be added without others moving."""
REPLICAS = 3
ROW_BYTES = 3_000
"""A row of media_jobs, one of media_items, one of verdicts, and their indexes."""

IMAGES_A_REQUEST = 16
VISION_QUOTA = 1_800
"""Requests a minute, unless Google grants more."""
VISION_PRICES = ((5_000_000, 1.50), (float("inf"), 0.60))
"""Images a month up to which 1,000 cost so many USD."""
MODAL_CORE, MODAL_GIB = 0.0000131, 0.00000222
"""USD a second."""
MODAL_GIB_A_CORE = 2

SCANNED = {"engine": 46.0, "video": 30.0}
"""Images, and seconds of video, a second and core, where an area was not measured: see docs/scanners.md."""
STREAM = "mediagate, with its stores"


@dataclass(frozen=True, slots=True)
class Figures:
    """CPU seconds of a decision in the worker, of an image and of a video in the local scanner."""

    decision: float
    image: float
    video: float

    @classmethod
    def of(cls, areas: Mapping[str, Sequence[Measurement]]) -> "Figures":
        """Those that were measured."""
        decision = next(each for each in areas["stream"] if each.peer == STREAM)
        rates = {name: areas[name][0].rate if areas.get(name) else rate for name, rate in SCANNED.items()}
        return cls(decision.cpu_seconds_per_10k / 10_000, 1 / rates["engine"], VIDEO_SECONDS / rates["video"])


@dataclass(frozen=True, slots=True)
class Load:
    """So many uploads a day."""

    uploads: int

    @property
    def peak(self) -> float:
        """Uploads in the busiest second."""
        return self.uploads / DAY * PEAK

    @property
    def images(self) -> float:
        """Images a day that are scanned."""
        return self.uploads * (1 - VIDEOS) * (1 - KNOWN)

    @property
    def videos(self) -> float:
        """Videos a day that are scanned."""
        return self.uploads * VIDEOS * (1 - KNOWN)

    def cores(self, seconds_a_day: float) -> int:
        """Cores for so much CPU time a day, at the peak."""
        return ceil(seconds_a_day / DAY * PEAK / BUSY)


def vision_cost(images: float) -> float:
    """USD for so many images in a month, at list price."""
    cost, before = 0.0, 0.0
    for until, price in VISION_PRICES:
        cost += max(0.0, min(images, until) - before) / 1000 * price
        before = until
    return cost


def modal_cost(core_seconds: float) -> float:
    """USD for so much work in containers that never idle."""
    return core_seconds * (MODAL_CORE + MODAL_GIB_A_CORE * MODAL_GIB)


def record_bytes(record: OutgoingRecord) -> int:
    """Key, value and headers, uncompressed."""
    headers = sum(len(name) + len(content) for name, content in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def kafka_bytes() -> int:
    """Of one upload: its completion, its approval, its publication."""
    kinds = (EventType.UPLOAD_COMPLETED, EventType.APPROVED, EventType.PUBLISHED)
    return sum(record_bytes(EXAMPLES[kind]) for kind in kinds)


def sizes(figures: Figures, loads: Sequence[Load]) -> list[list[str]]:
    """Rows of what has to be there."""
    days = int(yaml.safe_load(TOPICS_FILE.read_text())["approved"]["config"]["retention.ms"]) / 1000 / DAY
    workers = [each.cores(each.uploads * figures.decision) for each in loads]
    a_day = [each.uploads * kafka_bytes() for each in loads]
    return [
        ["uploads a second, mean", *(f"{each.uploads / DAY:,.0f}" for each in loads)],
        ["uploads a second, peak", *(f"{each.peak:,.0f}" for each in loads)],
        ["streams workers, a core each", *(f"{each:,}" for each in workers)],
        [
            "partitions of upload-completed",
            *(f"{max(4, each * WORKERS_PARTITIONS):,}" for each in workers),
        ],
        [
            "Kafka, MB a second at the peak, each replica",
            *(f"{each.peak * kafka_bytes() / 1e6:,.1f}" for each in loads),
        ],
        [
            f"Kafka, TB kept for {days:.0f} days, {REPLICAS} replicas",
            *(f"{each * days * REPLICAS / 1e12:,.1f}" for each in a_day),
        ],
        ["PostgreSQL, rows of uploads a day", *(f"{each.uploads:,}" for each in loads)],
        ["PostgreSQL, GB a day", *(f"{each.uploads * ROW_BYTES / 1e9:,.0f}" for each in loads)],
    ]


def scanning(figures: Figures, loads: Sequence[Load]) -> list[list[str]]:
    """Rows of what scanning takes, and costs a month."""
    requests = [each.images / DAY * PEAK * 60 / IMAGES_A_REQUEST for each in loads]
    work = [each.images * figures.image + each.videos * figures.video for each in loads]
    videos = [each.videos * figures.video for each in loads]
    return [
        ["images scanned a second, peak", *(f"{each.images / DAY * PEAK:,.0f}" for each in loads)],
        ["videos scanned a second, peak", *(f"{each.videos / DAY * PEAK:,.0f}" for each in loads)],
        ["Vision, requests a minute, peak", *(f"{each:,.0f}" for each in requests)],
        ["Vision, times the quota", *(f"{each / VISION_QUOTA:,.1f}" for each in requests)],
        [
            "Vision, USD a month, images alone",
            *(f"{vision_cost(each.images * MONTH):,.0f}" for each in loads),
        ],
        ["Modal, USD a month, videos alone", *(f"{modal_cost(each * MONTH):,.0f}" for each in videos)],
        ["Modal, USD a month, all", *(f"{modal_cost(each * MONTH):,.0f}" for each in work)],
        [
            "local, cores at the peak, all",
            *(f"{each.cores(each_work):,}" for each, each_work in zip(loads, work, strict=True)),
        ],
        [
            "each tenth more of known bytes, USD of Vision a month",
            *(f"-{_saved(each):,.0f}" for each in loads),
        ],
    ]


def fill(page: Path, file: Path) -> None:
    """Puts the tables that follow from saved results into docs/scaling.md."""
    figures, loads = Figures.of(load(file)), [Load(each) for each in UPLOADS_A_DAY]
    text = page.read_text()
    for mark, rows in (("sizes", sizes(figures, loads)), ("scanning", scanning(figures, loads))):
        text = put_table(text, mark, _table(rows))
    page.write_text(text)


def _saved(load: Load) -> float:
    fewer = load.uploads * (1 - VIDEOS) * 0.1
    return vision_cost(load.images * MONTH) - vision_cost((load.images - fewer) * MONTH)


def _table(rows: Sequence[Sequence[str]]) -> str:
    heads = ["uploads a day", *(f"{each / 1e6:,.0f} M" for each in UPLOADS_A_DAY)]
    lines = [heads, ["---", *("---:" for _ in UPLOADS_A_DAY)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
