"""`mediagate policy` by hand: what a policy says, and what it would have changed."""

import asyncio
import csv
import subprocess
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from mediagate.events import Decision, Event, encode
from mediagate.policy import load_policy
from mediagate.publisher import KafkaPublisher
from mediagate.topics import Topics
from tests.decisions import recorded
from tests.e2e.conftest import ROOT, Run
from tests.services import Services

NSFW = "thresholds: {nsfw: {hold: 0.6, reject: 0.85}}"


@pytest.fixture
def run(run: Run) -> Run:
    """Runs `mediagate policy`."""
    return partial(run, "policy")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy for nsfw alone."""
    path = tmp_path / "new.yaml"
    path.write_text(f"default:\n  {NSFW}\nlinked_to_types:\n  story: {{scanners: [local], {NSFW}}}\n")
    return path


def rows(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]


def test_a_sound_policy_is_shown_with_its_version(run: Run) -> None:
    shipped = ROOT / "policy.yaml"

    ended = run("check", str(shipped))

    assert ended.returncode == 0
    assert load_policy(shipped).version in ended.stdout
    assert ["default", "any", "hold", "adult", "0.5", "0.9"] in rows(ended.stdout)
    assert ["nsfw", "0.4", "0.7"] in rows(ended.stdout)
    assert "no threshold" not in ended.stdout


def test_categories_that_a_rule_lacks_are_warned_of(run: Run, policy: Path) -> None:
    ended = run("check", str(policy))

    assert ended.returncode == 0
    assert ["story", "local", "hold", "nsfw", "0.6", "0.85"] in rows(ended.stdout)
    assert [line for line in ended.stdout.splitlines() if "no threshold" in line] == [
        "default: no threshold for adult, spoof, medical, violence, racy: "
        "whatever vision scores would wait for a human"
    ]


@pytest.mark.parametrize("command", [("check",), ("backtest", "--from-datetime", "2025-01-01")])
def test_a_faulty_policy_is_one_line_with_file_line_and_field(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "faulty.yaml").write_text(f"default:\n  {NSFW}\n  scanners: [vision, locl]\n")

    ended = run(*command, "faulty.yaml")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "mediagate: faulty.yaml:3: default.scanners.1: Input should be 'vision', 'modal' or 'local'\n"
    )


@pytest.mark.parametrize(
    ("times", "fault"),
    [
        (("--from-datetime", "yesterday"), "--from-datetime: 'yesterday' is no datetime"),
        (
            ("--from-datetime", "2025-01-01", "--to-datetime", "2025-13-01"),
            "--to-datetime: '2025-13-01' is no datetime",
        ),
        (
            ("--from-datetime", "2025-01-01T01:00:00+01:00", "--to-datetime", "2025-01-01T00:00:00.000"),
            "--to-datetime: 2025-01-01T00:00:00.000 is not after --from-datetime 2025-01-01T01:00:00+01:00",
        ),
    ],
)
def test_a_faulty_time_is_one_line(run: Run, policy: Path, times: tuple[str, ...], fault: str) -> None:
    ended = run("backtest", str(policy), *times)

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"mediagate: {fault}")


def test_kafka_away_is_one_line_and_no_file(run: Run, policy: Path, tmp_path: Path) -> None:
    ended = run(
        "backtest",
        str(policy),
        "--from-datetime",
        "2025-01-01",
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        TOPICS_FILE=str(ROOT / "topics.yaml"),
    )

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("mediagate: Kafka does not answer")
    assert list(tmp_path.iterdir()) == [policy]


def test_a_backtest_shows_and_writes_the_flips(
    run: Run, policy: Path, services: Services, topics: Topics, topics_file: Path, tmp_path: Path
) -> None:
    flipping = [recorded(scores={"nsfw": 0.9}), recorded(outcome="rejected", scores={"nsfw": 0.3})]
    flips = {
        str(flipping[0].data.media_id): ["approved", "rejected"],
        str(flipping[1].data.media_id): ["rejected", "approved"],
    }
    asyncio.run(
        _publish(services, topics, [*flipping, recorded(), recorded(outcome="unscannable", scores={})])
    )

    def backtest(*arguments: str) -> "subprocess.CompletedProcess[str]":
        ended = run(
            "backtest",
            str(policy),
            *arguments,
            KAFKA_BOOTSTRAP_SERVERS=services.kafka_bootstrap_servers,
            TOPICS_FILE=str(topics_file),
        )
        assert ended.returncode == 0, ended.stderr
        return ended

    now = datetime.now(UTC)
    recent = (now - timedelta(hours=1)).isoformat(timespec="milliseconds")
    ended = backtest("--from-datetime", recent)

    assert ["approved", "rejected", "1"] in rows(ended.stdout)
    assert ["approved", "approved", "1"] in rows(ended.stdout)
    for media_id, (before, after) in flips.items():
        assert [media_id, "post", before, after] in [row[:4] for row in rows(ended.stdout)]
    assert "4 re-decided, 2 unchanged, 2 flipped" in ended.stdout
    assert "4/4" in ended.stderr
    with (tmp_path / "backtest.csv").open(newline="") as written:
        found = {
            row["media_id"]: [row["recorded_outcome"], row["new_outcome"]] for row in csv.DictReader(written)
        }
    assert found == flips

    ended = backtest("--from-datetime", "2020-01-01", "--to-datetime", recent, "--csv", "none.csv")
    assert "0 re-decided" in ended.stdout
    assert len((tmp_path / "none.csv").read_text().splitlines()) == 1


async def _publish(services: Services, topics: Topics, events: list[Event[Decision]]) -> None:
    async with KafkaPublisher(services.kafka_bootstrap_servers, "test") as publisher:
        await publisher.publish([encode(event, topics.of_event(event.type).name) for event in events])
