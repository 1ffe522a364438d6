"""Deciding again: what depends on the policy, what does not, what is counted."""

import csv
import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.backtest import Backtest, Flip
from mediagate.cli.flips import flip_file
from mediagate.errors import ConfigurationError
from mediagate.events import Event, Outcome
from mediagate.policy import Policy, decide
from tests.decisions import SCANNED, recorded

NSFW = {"nsfw": {"hold": 0.6, "reject": 0.85}}


def policy(**rule: object) -> Policy:
    return Policy.model_validate({"default": {"thresholds": NSFW} | rule})


def flip_of(policy: Policy, **fields: Any) -> tuple[Outcome, tuple[str, ...]] | None:
    flip = Backtest(policy).add(recorded(**fields))
    return None if flip is None else (flip.verdict.outcome, flip.verdict.reasons)


@pytest.mark.parametrize(
    ("outcome", "score", "flip"),
    [
        ("approved", 0.1, None),
        ("approved", 0.7, ("needs_review", ("nsfw 0.700 >= hold 0.6",))),
        ("needs_review", 0.7, None),
        ("rejected", 0.1, ("approved", ())),
        ("needs_review", 0.9, ("rejected", ("nsfw 0.900 >= reject 0.85",))),
    ],
)
def test_scores_are_judged_again(
    outcome: Outcome, score: float, flip: tuple[Outcome, tuple[str, ...]] | None
) -> None:
    assert flip_of(policy(), outcome=outcome, scores={"nsfw": score}) == flip


def test_the_rule_is_that_of_the_uploads_type() -> None:
    strict = Policy.model_validate(
        {
            "default": {"thresholds": NSFW},
            "linked_to_types": {"story": {"thresholds": {"nsfw": {"hold": 0, "reject": 0}}}},
        }
    )

    assert flip_of(strict, outcome="approved", scores={"nsfw": 0.1}) is None
    assert flip_of(strict, outcome="approved", scores={"nsfw": 0.1}, linked_to_type="story") == (
        Outcome.REJECTED,
        ("nsfw 0.100 >= reject 0.0",),
    )


@pytest.mark.parametrize("scanner", ["local", None])
def test_scores_of_a_scanner_that_is_no_longer_allowed_are_not_approved(scanner: str | None) -> None:
    flip = flip_of(policy(scanners=["vision"]), outcome="approved", scores={"nsfw": 0.1}, scanner=scanner)

    assert flip is not None
    assert flip[0] is Outcome.NEEDS_REVIEW


@pytest.mark.parametrize(
    ("outcome", "choice", "flip"),
    [
        ("unscannable", "hold", None),
        ("unscannable", "reject", (Outcome.REJECTED, ("undecodable",))),
        ("rejected", "hold", (Outcome.UNSCANNABLE, ("undecodable",))),
        ("rejected", "reject", None),
    ],
)
def test_what_nobody_could_judge_is_decided_by_its_reason(
    outcome: Outcome, choice: str, flip: tuple[Outcome, tuple[str, ...]] | None
) -> None:
    unscannable: dict[str, Any] = {"scores": {}, "scanner": None, "reasons": ("undecodable",)}

    assert flip_of(policy(unscannable=choice), outcome=outcome, **unscannable) == flip


def test_no_scores_are_reviewed_as_before() -> None:
    no_scores: dict[str, Any] = {"scores": {}, "scanner": None, "reasons": ("no scores",)}

    assert flip_of(policy(unscannable="reject"), outcome="needs_review", **no_scores) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"outcome": "rejected", "scanner": "block_list", "scores": {}, "reasons": ("block_list: md5",)},
        {"outcome": "unscannable", "policy_version": None, "scores": {}, "reasons": ("attempts_exhausted",)},
    ],
)
def test_what_no_policy_decided_stays(fields: dict[str, Any]) -> None:
    backtest = Backtest(policy(unscannable="reject" if fields["outcome"] == "unscannable" else "hold"))

    assert backtest.add(recorded(**fields)) is None
    assert (backtest.decisions, backtest.independent, backtest.redecided) == (1, 1, 0)


def test_what_a_brake_held_back_is_compared_by_what_the_policy_had_said() -> None:
    braked = {"outcome": "needs_review", "braked": "approved"}

    assert flip_of(policy(), **braked, scores={"nsfw": 0.1}) is None
    assert flip_of(policy(), **braked, scores={"nsfw": 0.7}) == (
        Outcome.NEEDS_REVIEW,
        ("nsfw 0.700 >= hold 0.6",),
    )


def test_a_brake_does_not_hide_why_nobody_could_judge() -> None:
    braked = {"outcome": "needs_review", "braked": "rejected", "reasons": ("brake: on", "undecodable")}

    assert flip_of(policy(), **braked, scores={}) == (Outcome.UNSCANNABLE, ("undecodable",))
    assert flip_of(policy(unscannable="reject"), **braked, scores={}) is None


def test_decisions_are_counted_once() -> None:
    backtest = Backtest(policy())
    approved, flipped = recorded(outcome="approved"), recorded(outcome="approved", scores={"nsfw": 0.9})

    flips = [backtest.add(event) for event in (approved, flipped, flipped, approved, recorded())]

    assert [flip is not None for flip in flips] == [False, True, False, False, False]
    assert dict(backtest.changes) == {
        (Outcome.APPROVED, Outcome.APPROVED): 2,
        (Outcome.APPROVED, Outcome.REJECTED): 1,
    }
    assert (backtest.decisions, backtest.redecided, backtest.flipped, backtest.repeated) == (3, 3, 1, 2)


@given(
    st.lists(st.dictionaries(st.sampled_from(["nsfw", "gore"]), st.floats(0, 1), min_size=1)), st.booleans()
)
def test_the_policy_that_decided_flips_nothing(scores: list[dict[str, float]], allowed: bool) -> None:
    same = policy(scanners=["local"] if allowed else ["vision"])
    backtest = Backtest(same)

    for each in scores:
        verdict = decide(same, "post", each, "local")
        assert backtest.add(recorded(outcome=verdict.outcome, reasons=verdict.reasons, scores=each)) is None


def flipped(event: Event[Any]) -> Flip:
    flip = Backtest(policy(unscannable="reject")).add(event)
    assert flip is not None
    return flip


def test_a_row_says_all_of_a_flip(tmp_path: Path) -> None:
    event = recorded(outcome="approved", scores={"nsfw": 0.9, "gore": 0.25})

    with flip_file(tmp_path / "flips.csv") as file:
        file.add(flipped(event))

    with (tmp_path / "flips.csv").open(newline="") as written:
        (row,) = csv.DictReader(written)
    assert UUID(row.pop("media_id")) == event.data.media_id
    assert json.loads(row.pop("scores")) == {"nsfw": 0.9, "gore": 0.25}
    assert row == {
        "linked_to_type": "post",
        "recorded_outcome": "approved",
        "new_outcome": "rejected",
        "recorded_policy": SCANNED["policy_version"],
        "scanner": "local",
        "model_version": SCANNED["model_version"],
        "reasons": "nsfw 0.900 >= reject 0.85; gore has no threshold in the policy",
    }


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_cell_is_a_formula_or_steers_a_terminal(tmp_path: Path, start: str) -> None:
    event = recorded(outcome="unscannable", scores={}, reasons=(f"{start}cmd|' /C calc'!A0\t\x1b[2J\r\n",))

    with flip_file(tmp_path / "flips.csv") as file:
        file.add(flipped(event))

    with (tmp_path / "flips.csv").open(newline="") as written:
        (row,) = csv.DictReader(written)
    assert row["reasons"] == f"'{start}cmd|' /C calc'!A0\N{REPLACEMENT CHARACTER}" + (
        "\N{REPLACEMENT CHARACTER}[2J" + 2 * "\N{REPLACEMENT CHARACTER}"
    )


def test_a_file_of_an_earlier_run_outlives_one_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "flips.csv"
    path.write_text("earlier")

    with pytest.raises(ZeroDivisionError), flip_file(path) as file:
        file.add(flipped(recorded(outcome="approved", scores={"nsfw": 0.9})))
        raise ZeroDivisionError

    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / str(uuid4()) / "flips.csv"

    with (
        pytest.raises(ConfigurationError, match=r"--csv: .*flips\.csv: No such file or directory"),
        flip_file(path),
    ):
        raise AssertionError
