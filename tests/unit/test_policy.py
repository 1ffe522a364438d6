import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.errors import ConfigurationError
from mediagate.events import Outcome
from mediagate.policy import (
    SCANNER_CATEGORIES,
    Policy,
    Rule,
    Thresholds,
    Verdict,
    decide,
    decide_unscannable,
    load_policy,
    load_policy_if_there,
    missing_categories,
)
from mediagate.scanners import vision
from mediagate.scanners.routes import ScannerName

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "policy.yaml"
SEVERITY = (Outcome.APPROVED, Outcome.NEEDS_REVIEW, Outcome.REJECTED)
CATEGORIES = ("nsfw", "violence")

NSFW = {"thresholds": {"nsfw": {"hold": 0.6, "reject": 0.85}}}

unit = st.floats(0, 1)
score_maps = st.dictionaries(st.sampled_from((*CATEGORIES, "unheard_of")), unit)


@st.composite
def thresholds(draw: st.DrawFn) -> Thresholds:
    hold, reject = sorted((draw(unit), draw(unit)))
    return Thresholds(hold=hold, reject=reject)


scanner_sets = st.none() | st.frozensets(st.sampled_from(ScannerName), min_size=1)
scanner_names = st.sampled_from([*ScannerName, "stranger"])


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    allowed = draw(scanner_sets)
    return Rule.model_validate(
        {"thresholds": {category: draw(thresholds()) for category in CATEGORIES}}
        | ({} if allowed is None else {"scanners": allowed})
    )


policies = st.builds(lambda default: Policy(default=default), rules())


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
    assert decide(policy, linked_to_type, {"nsfw": score}, "local") == verdict


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
    assert decide(policy, "post", scores, "local") == Verdict(Outcome.NEEDS_REVIEW, (named,))


def test_a_rejection_outweighs_a_hold_and_is_named_first(policy: Policy) -> None:
    verdict = decide(policy, "post", {"gore": 0.1, "nsfw": 0.9}, "local")

    assert verdict.outcome is Outcome.REJECTED
    assert verdict.reasons == ("nsfw 0.900 >= reject 0.85", "gore has no threshold in the policy")


@given(policies, score_maps, scanner_names, st.data())
def test_a_higher_score_never_makes_the_decision_milder(
    policy: Policy, scores: dict[str, float], scanner: str, data: st.DataObject
) -> None:
    higher = {category: data.draw(st.floats(score, 1)) for category, score in scores.items()}

    before, after = (decide(policy, "post", each, scanner).outcome for each in (scores, higher))

    assert SEVERITY.index(after) >= SEVERITY.index(before)


@given(policies, score_maps, scanner_names, st.sampled_from((*CATEGORIES, "unheard_of")), unit)
def test_one_more_score_never_makes_the_decision_milder(
    policy: Policy, scores: dict[str, float], scanner: str, category: str, score: float
) -> None:
    scores.pop(category, None)

    before, after = (
        decide(policy, "post", each, scanner).outcome for each in (scores, scores | {category: score})
    )

    assert SEVERITY.index(after) >= SEVERITY.index(before) or not scores


@given(
    policies,
    st.dictionaries(st.sampled_from((*CATEGORIES, "unheard_of")), st.floats()),
    scanner_names,
)
def test_only_an_allowed_scanners_scores_below_every_threshold_are_approved(
    policy: Policy, scores: dict[str, float], scanner: str
) -> None:
    rule = policy.default
    low = bool(scores) and all(
        category in rule.thresholds and 0 <= score < rule.thresholds[category].hold
        for category, score in scores.items()
    )
    approvable = low and (rule.scanners is None or scanner in rule.scanners)

    verdict = decide(policy, "post", scores, scanner)

    assert (verdict.outcome is Outcome.APPROVED) == approvable
    assert bool(verdict.reasons) != approvable


@given(policies, score_maps, scanner_names)
def test_a_scanner_that_is_not_allowed_only_turns_approval_into_review(
    policy: Policy, scores: dict[str, float], scanner: str
) -> None:
    open_to_all = Policy(default=Rule(thresholds=policy.default.thresholds))
    with_any, with_allowed = (decide(each, "post", scores, scanner).outcome for each in (open_to_all, policy))

    if with_any is Outcome.APPROVED and not policy.allows("post", scanner):
        assert with_allowed is Outcome.NEEDS_REVIEW
    else:
        assert with_allowed is with_any


def test_a_scanner_that_is_not_allowed_is_named() -> None:
    policy = Policy.model_validate({"default": NSFW | {"scanners": ["modal", "vision"]}})

    assert decide(policy, "post", {"nsfw": 0.1}, "modal") == Verdict(Outcome.APPROVED, ())
    assert decide(policy, "post", {"nsfw": 0.1}, "local") == Verdict(
        Outcome.NEEDS_REVIEW, ("local is not an allowed scanner",)
    )
    assert decide(policy, "post", {"nsfw": 0.9}, "local") == Verdict(
        Outcome.REJECTED, ("nsfw 0.900 >= reject 0.85", "local is not an allowed scanner")
    )


@pytest.mark.parametrize(
    ("linked_to_type", "scores", "outcome"),
    [
        ("post", {"adult": 0.3, "spoof": 0.9, "medical": 0.7, "violence": 0.5, "racy": 0.7}, "approved"),
        ("post", {"adult": 0.5}, "needs_review"),
        ("post", {"adult": 0.9}, "rejected"),
        ("post", {"violence": 0.7}, "needs_review"),
        ("post", {"violence": 0.9}, "rejected"),
        ("post", {"racy": 0.9}, "needs_review"),
        ("post", {"medical": 0.9}, "needs_review"),
        ("profile_picture", {"adult": 0.7}, "rejected"),
        ("profile_picture", {"racy": 0.7}, "needs_review"),
        ("profile_picture", {"racy": 0.9, "medical": 0.9, "spoof": 0.9}, "needs_review"),
    ],
)
def test_the_shipped_policy_judges_likelihoods(
    policy: Policy, linked_to_type: str, scores: dict[str, float], outcome: str
) -> None:
    assert decide(policy, linked_to_type, scores, "vision").outcome == outcome


def test_the_shipped_policy_has_a_threshold_for_all_that_scanners_score(policy: Policy) -> None:
    assert [missing_categories(rule) for rule in policy.rules().values()] == [{}, {}]


def test_visions_categories_are_those_that_it_scores() -> None:
    assert SCANNER_CATEGORIES[ScannerName.VISION] == vision.CATEGORIES


def test_categories_without_a_threshold_are_missed_of_allowed_scanners_only() -> None:
    nsfw = Rule.model_validate(NSFW)
    vision_only = Rule.model_validate(NSFW | {"scanners": ["vision"]})
    local_only = Rule.model_validate(NSFW | {"scanners": ["local"]})

    missed = {ScannerName.VISION: SCANNER_CATEGORIES[ScannerName.VISION]}
    assert missing_categories(nsfw) == missed
    assert missing_categories(vision_only) == missed
    assert missing_categories(local_only) == {}


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


@pytest.mark.parametrize("allowed", [{}, {"scanners": ["local", "modal", "vision"]}])
def test_the_version_is_the_hash_of_what_is_written(allowed: dict[str, list[str]]) -> None:
    rule = {"unscannable": "hold", "thresholds": {"nsfw": {"hold": 0.6, "reject": 0.85}}}
    content = json.dumps({"default": rule | allowed, "linked_to_types": {}}, sort_keys=True)

    version = Policy.model_validate({"default": NSFW | allowed}).version

    assert version == hashlib.sha256(content.encode()).hexdigest()[:12]


@given(st.permutations(list(ScannerName)), st.permutations(CATEGORIES), st.permutations(["a", "b", "c"]))
def test_the_version_is_independent_of_order(
    scanners: list[str], categories: list[str], types: list[str]
) -> None:
    def rule(scanners: Sequence[str], categories: Sequence[str]) -> dict[str, object]:
        thresholds = {category: {"hold": 0.5, "reject": 0.9} for category in categories}
        return {"scanners": scanners, "thresholds": thresholds}

    def policy(scanners: Sequence[str], categories: Sequence[str], types: Sequence[str]) -> Policy:
        each = rule(scanners, categories)
        return Policy.model_validate({"default": each, "linked_to_types": dict.fromkeys(types, each)})

    assert policy(scanners, categories, types).version == (
        policy(list(ScannerName), CATEGORIES, ["a", "b", "c"]).version
    )


def test_allowed_scanners_are_part_of_the_version() -> None:
    versions = {
        Policy.model_validate({"default": NSFW | allowed}).version
        for allowed in ({}, {"scanners": ["local"]}, {"scanners": ["local", "modal"]})
    }

    assert len(versions) == 3


def test_anchors_and_merge_keys_are_what_they_stand_for(tmp_path: Path) -> None:
    short, long = tmp_path / "short.yaml", tmp_path / "long.yaml"
    short.write_text(
        """
default: &default
  scanners: [local]
  thresholds: &usual
    nsfw: &same {hold: 0.5, reject: 0.9}
    gore: *same
linked_to_types:
  post: *default
  story:
    <<: *default
    thresholds: {<<: *usual, nsfw: {hold: 0, reject: 1}}
"""
    )
    long.write_text(
        """
default:
  scanners: [local]
  thresholds: {nsfw: {hold: 0.5, reject: 0.9}, gore: {hold: 0.5, reject: 0.9}}
linked_to_types:
  post:
    scanners: [local]
    thresholds: {nsfw: {hold: 0.5, reject: 0.9}, gore: {hold: 0.5, reject: 0.9}}
  story:
    scanners: [local]
    thresholds: {nsfw: {hold: 0, reject: 1}, gore: {hold: 0.5, reject: 0.9}}
"""
    )

    assert load_policy(short) == load_policy(long)


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
        (
            "default:\n  scanners: [vision, locl]\n  thresholds:\n    nsfw: {hold: 0.5, reject: 0.9}\n",
            ":2: default.scanners.1: Input should be 'vision', 'modal' or 'local'",
        ),
        (
            "default:\n  thresholds:\n    nsfw: {hold: 0.5, reject: 0.9}\n"
            "  scanners:\n  - vision\n  - locl\n",
            ":6: default.scanners.1: Input should be 'vision', 'modal' or 'local'",
        ),
        (
            "default:\n  scanners: []\n  thresholds:\n    nsfw: {hold: 0.5, reject: 0.9}\n",
            ":2: default.scanners: ",
        ),
        (
            "default:\n  thresholds:\n    nsfw: {hold: 0.5, reject: 0.9}\n  scanners:\n",
            ":4: default.scanners: Value error, names no scanner",
        ),
        (
            "default: &a\n  thresholds:\n    nsfw: {hold: 0.5, reject: 0.9}\n"
            "linked_to_types:\n  post: *a\n  Post: *a\n",
            ":6: linked_to_types.Post.[key]: String should match",
        ),
        (
            "default: &a\n  thresholds: &t\n    nsfw: {hold: 0.5, reject: 0.9}\n"
            "linked_to_types:\n  post:\n    thresholds:\n"
            "      <<: *t\n      nsfw: {hold: 0.5, reject: 1.01}\n",
            ":8: linked_to_types.post.thresholds.nsfw.reject: ",
        ),
        ("default: &a\n  thresholds: *a\n", ":2: default.thresholds"),
        ("? [a, b]\n: c\n", ":1: found unhashable key"),
        ("default: 2025-99-99\n", ":1: policy: month must be in 1..12"),
        ("default: {}\n---\ndefault: {}\n", ":2: but found another document"),
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


def test_the_documented_policy_is_sound(tmp_path: Path) -> None:
    example = tmp_path / "policy.yaml"
    example.write_text((ROOT / "docs" / "policy.md").read_text().split("```yaml\n")[1].split("```")[0])

    assert load_policy(example).rule("profile_picture").unscannable == "reject"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml: cannot be read"):
        load_policy(tmp_path / "nowhere.yaml")


def test_a_policy_that_need_not_be_there(tmp_path: Path, policy: Policy) -> None:
    faulty = tmp_path / "faulty.yaml"
    faulty.write_text("default: 1\n")

    assert load_policy_if_there(SHIPPED) == policy
    assert load_policy_if_there(tmp_path / "nowhere.yaml") is None
    with pytest.raises(ConfigurationError, match=r"faulty\.yaml:1: default: "):
        load_policy_if_there(faulty)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_policy_if_there(tmp_path)
