import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.errors import ConfigurationError
from mediagate.events import Outcome
from mediagate.policy import Policy, Rule, Thresholds, Verdict, decide, decide_unscannable, load_policy

SHIPPED = Path(__file__).parents[2] / "policy.yaml"
SEVERITY = (Outcome.APPROVED, Outcome.NEEDS_REVIEW, Outcome.REJECTED)
CATEGORIES = ("nsfw", "violence")

unit = st.floats(0, 1)
score_maps = st.dictionaries(st.sampled_from((*CATEGORIES, "unheard_of")), unit)


@st.composite
def thresholds(draw: st.DrawFn) -> Thresholds:
    hold, reject = sorted((draw(unit), draw(unit)))
    return Thresholds(hold=hold, reject=reject)


policies = st.builds(
    lambda nsfw, violence: Policy(default=Rule(thresholds={"nsfw": nsfw, "violence": violence})),
    thresholds(),
    thresholds(),
)


@pytest.fixture
def policy() -> Policy:
    return load_policy(SHIPPED)


@pytest.mark.parametrize(
    ("linked_to_type", "score", "verdict"),
    [
        ("post", 0.599, Verdict(Outcome.APPROVED, ())),
        ("post", 0.6, Verdict(Outcome.NEEDS_REVIEW, ("nsfw 0.600 >= hold 0.6",))),
        ("post", 0.85, Verdict(Outcome.REJECTED, ("nsfw 0.850 >= reject 0.85",))),
        ("post", 0.9214, Verdict(Outcome.REJECTED, ("nsfw 0.921 >= reject 0.85",))),
        ("profile_picture", 0.399, Verdict(Outcome.APPROVED, ())),
        ("profile_picture", 0.4, Verdict(Outcome.NEEDS_REVIEW, ("nsfw 0.400 >= hold 0.4",))),
        ("profile_picture", 0.7, Verdict(Outcome.REJECTED, ("nsfw 0.700 >= reject 0.7",))),
    ],
)
def test_thresholds_belong_to_what_is_at_or_above_them(
    policy: Policy, linked_to_type: str, score: float, verdict: Verdict
) -> None:
    assert decide(policy, linked_to_type, {"nsfw": score}) == verdict


@pytest.mark.parametrize(
    ("scores", "named"),
    [
        ({}, "no scores"),
        ({"gore": 0.0}, "gore has no threshold in the policy"),
        ({"nsfw": math.nan}, "nsfw score nan is not in [0, 1]"),
        ({"nsfw": math.inf}, "nsfw score inf is not in [0, 1]"),
        ({"nsfw": -0.1}, "nsfw score -0.1 is not in [0, 1]"),
        ({"nsfw": 0.0, "gore": 0.0}, "gore has no threshold in the policy"),
    ],
)
def test_what_the_policy_cannot_judge_is_reviewed(
    policy: Policy, scores: dict[str, float], named: str
) -> None:
    assert decide(policy, "post", scores) == Verdict(Outcome.NEEDS_REVIEW, (named,))


def test_a_rejection_outweighs_a_hold_and_is_named_first(policy: Policy) -> None:
    verdict = decide(policy, "post", {"gore": 0.1, "nsfw": 0.9})

    assert verdict.outcome is Outcome.REJECTED
    assert verdict.reasons == ("nsfw 0.900 >= reject 0.85", "gore has no threshold in the policy")


@given(policies, score_maps, st.data())
def test_a_higher_score_never_makes_the_decision_milder(
    policy: Policy, scores: dict[str, float], data: st.DataObject
) -> None:
    higher = {category: data.draw(st.floats(score, 1)) for category, score in scores.items()}

    before, after = (decide(policy, "post", each).outcome for each in (scores, higher))

    assert SEVERITY.index(after) >= SEVERITY.index(before)


@given(policies, st.dictionaries(st.sampled_from((*CATEGORIES, "unheard_of")), st.floats()))
def test_only_scores_below_every_threshold_are_approved(policy: Policy, scores: dict[str, float]) -> None:
    rule = policy.default.thresholds
    low = bool(scores) and all(
        category in rule and 0 <= score < rule[category].hold <= rule[category].reject
        for category, score in scores.items()
    )

    verdict = decide(policy, "post", scores)

    assert (verdict.outcome is Outcome.APPROVED) == low
    assert bool(verdict.reasons) != low


@pytest.mark.parametrize(("choice", "outcome"), [("hold", Outcome.UNSCANNABLE), ("reject", Outcome.REJECTED)])
def test_what_nobody_could_judge_is_held_or_rejected(choice: str, outcome: Outcome) -> None:
    policy = Policy.model_validate(
        {"default": {"unscannable": choice, "thresholds": {"nsfw": {"hold": 0.6, "reject": 0.85}}}}
    )

    assert decide_unscannable(policy, "post", "undecodable") == Verdict(outcome, ("undecodable",))


def test_the_version_is_that_of_the_content(tmp_path: Path, policy: Policy) -> None:
    rewritten, changed = tmp_path / "rewritten.yaml", tmp_path / "changed.yaml"
    lines = [line for line in SHIPPED.read_text().splitlines() if not line.startswith("#")]
    rewritten.write_text("\n".join(lines))
    changed.write_text(SHIPPED.read_text().replace("0.85", "0.84"))

    assert len(policy.version) == 12
    assert load_policy(rewritten).version == policy.version
    assert load_policy(changed).version != policy.version


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ":1: policy: is empty"),
        ("- nsfw", ":1: policy: "),
        ("default: {", ":1: "),
        ("linked_to_types: {}\n", ":1: default: Field required"),
        ("default:\n  thresholds: {}\n", ":2: default.thresholds: "),
        (
            "default:\n  thresholds:\n    nsfw: {hold: 0.5}\n",
            ":3: default.thresholds.nsfw.reject: Field required",
        ),
        (
            "default:\n  thresholds:\n    nsfw:\n      hold: high\n      reject: 0.9\n",
            ":4: default.thresholds.nsfw.hold: Input should be a valid number",
        ),
        (
            "default:\n  thresholds:\n    nsfw: {hold: 0.9, reject: 0.5}\n",
            ":3: default.thresholds.nsfw: Value error, hold 0.9 is above reject 0.5",
        ),
        (
            "default:\n  thresholds:\n    nsfw: {hold: .nan, reject: 1}\n",
            ":3: default.thresholds.nsfw.hold: ",
        ),
        (
            "default:\n  thresholds:\n    nsfw: {hold: 0.5, reject: 2}\n",
            ":3: default.thresholds.nsfw.reject: ",
        ),
        (
            "default:\n  unscannable: approve\n  thresholds:\n    nsfw: {hold: 0.5, reject: 0.9}\n",
            ":2: default.unscannable: ",
        ),
        (
            "default:\n  thresholds:\n    nsfw: {hold: 0.5, reject: 0.9}\n    nsfw: {hold: 1, reject: 1}\n",
            ":4: nsfw: is there twice",
        ),
        (
            "default:\n  thresholds:\n    nsfw: {hold: 0.5, reject: 0.9}\n  treshold: 1\n",
            ":4: default.treshold: Extra inputs",
        ),
    ],
)
def test_a_faulty_file_is_one_line_with_line_number_and_field(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(content)

    with pytest.raises(ConfigurationError) as raised:
        load_policy(path)

    assert str(raised.value).startswith(f"{path}{message}")
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml: cannot be read"):
        load_policy(tmp_path / "nowhere.yaml")
