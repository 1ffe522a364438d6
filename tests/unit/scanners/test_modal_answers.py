"""Whatever a function on Modal answers, every item has one result, and no scores but its own valid ones."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediagate.media import MediaType
from mediagate.scanners import ScanItem, Scanned, ScanResult, Unavailable, Unscannable
from mediagate.scanners.modal_answers import Call, calls
from mediagate.scanners.modal_messages import Answer
from mediagate.scanners.reasons import Reason

JOB_IDS = ("job-0", "job-1", "job-2")


def item(job_id: str) -> ScanItem:
    url = f"https://store.example/{job_id}"
    return ScanItem(job_id, MediaType.IMAGE, "image/jpeg", url, f'"{job_id}"', 100, url)


def result(job_id: str, **changed: object) -> dict[str, object]:
    return {"job_id": job_id, "etag": f'"{job_id}"', "scores": {"nsfw": 0.1}} | changed


def results_of(*answers: Sequence[object]) -> list[ScanResult]:
    """What the three jobs come to when each try is answered thus."""
    items = [item(job_id) for job_id in JOB_IDS]
    (call,) = calls(items)
    for answer in answers:
        call.tries.append(None)
        call.take(Answer(model_version="v1", results=list(answer)))
    return [call.result(each) for each in items]


@pytest.mark.parametrize(
    "changed",
    [
        {"scores": {"nsfw": math.nan}},
        {"scores": {"nsfw": math.inf}},
        {"scores": {"nsfw": -0.1}},
        {"scores": {"nsfw": 1.1}},
        {"scores": {"nsfw": "0.1"}},
        {"scores": {"nsfw": True}},
        {"scores": {"nsfw": 0.1, "gore": 2}},
        {"scores": {}},
        {"scores": None},
        {"scores": {7: 0.1}},
        {"scores": [0.1]},
        {"etag": 7},
        {"size": "100"},
        {"reason": "too_long"},
    ],
    ids=str,
)
def test_a_faulty_result_is_its_own_jobs_failure(changed: dict[str, object]) -> None:
    assert results_of([result("job-0", **changed), result("job-1"), result("job-2")]) == [
        Unscannable(Reason.SCANNER_ERROR),
        Scanned({"nsfw": 0.1}),
        Scanned({"nsfw": 0.1}),
    ]


@pytest.mark.parametrize(
    ("given_reason", "expected"),
    [
        ({"reason": "too_long"}, Unscannable("too_long")),
        ({"reason": "Too long!"}, Unscannable("scanner_error")),
        ({"reason": "too_long\n"}, Unscannable("scanner_error")),
        ({"reason": "x" * 65}, Unscannable("scanner_error")),
        ({"reason": ""}, Unscannable("scanner_error")),
        ({"reason": "object_unreadable", "retry": True}, Unavailable("object_unreadable")),
        ({"reason": "too_long", "retry": "yes"}, Unscannable("scanner_error")),
    ],
    ids=str,
)
def test_a_reason_is_passed_on_where_it_looks_like_one(
    given_reason: dict[str, object], expected: ScanResult
) -> None:
    assert results_of([{"job_id": "job-0"} | given_reason])[0] == expected


def test_scores_of_other_bytes_are_none() -> None:
    answer = [result("job-0", etag='"other"'), result("job-1", size=99), result("job-2", size=100)]

    assert results_of(answer) == [
        Unscannable(Reason.OBJECT_CHANGED),
        Unscannable(Reason.SIZE_MISMATCH),
        Scanned({"nsfw": 0.1}),
    ]


def test_a_result_that_came_is_not_replaced() -> None:
    (call,) = calls([item("job-0"), item("job-1")])
    call.take(Answer(model_version="v1", results=[result("job-0")]))

    unknown = call.take(Answer(model_version="v1", results=[result("job-0", scores={"nsfw": 0.9})]))

    assert unknown == 1
    assert call.results["job-0"].scores == {"nsfw": 0.1}


def test_what_is_unasked_for_is_counted() -> None:
    call = Call(MediaType.IMAGE, {"job-0": "https://store.example/0"})

    assert call.take(Answer(model_version="v1", results=[result("job-9"), 7, {"job_id": [1]}, {}])) == 4
    assert set(call.open) == {"job-0"}


scores = st.sampled_from([0, 0.5, 1, -0.1, 1.1, math.nan, math.inf, True, "0.1", None]) | st.floats()
fields = {
    "job_id": st.sampled_from([*JOB_IDS, "stranger", "", 7, None]),
    "etag": st.sampled_from([*(f'"{job_id}"' for job_id in JOB_IDS), None, 7]),
    "size": st.sampled_from([100, 99, None, "100"]),
    "scores": st.none() | st.dictionaries(st.sampled_from(["nsfw", "gore"]), scores, max_size=2),
    "reason": st.sampled_from([None, "too_long", "Not A Reason", "", 7]),
    "retry": st.sampled_from([True, False, None, "yes"]),
}
one_change = st.one_of(
    *(st.fixed_dictionaries({}, optional={name: values}) for name, values in fields.items())
)
almost_sound = st.builds(
    lambda job_id, changed: result(job_id) | changed, st.sampled_from(JOB_IDS), one_change
)
anything = st.one_of(
    st.fixed_dictionaries({}, optional=fields), st.none(), st.integers(), st.lists(st.none())
)
answers = st.lists(almost_sound, min_size=1, max_size=2) | st.lists(almost_sound | anything, max_size=6)


def is_sound(job_id: str, candidate: object, found: Scanned) -> bool:
    return (
        isinstance(candidate, dict)
        and candidate.get("job_id") == job_id
        and candidate.get("scores") == found.scores
        and candidate.get("etag") in {None, f'"{job_id}"'}
        and candidate.get("size") in {None, 100}
        and candidate.get("reason") is None
        and len(found.scores) > 0
        and all(
            isinstance(score, float | int) and not isinstance(score, bool) and 0 <= score <= 1
            for score in found.scores.values()
        )
    )


@settings(max_examples=500)
@given(st.lists(answers, min_size=1, max_size=3))
def test_only_a_jobs_own_single_valid_scores_count(tries: list[list[object]]) -> None:
    found = results_of(*tries)

    assert len(found) == len(JOB_IDS)
    for job_id, each in zip(JOB_IDS, found, strict=True):
        own = [
            [result for result in answer if isinstance(result, dict) and result.get("job_id") == job_id]
            for answer in tries
        ]
        decisive = next((results[0] for results in own if len(results) == 1), None)
        if isinstance(each, Scanned):
            assert is_sound(job_id, decisive, each)
        if decisive is None:
            assert each == Unscannable(Reason.MISSING_RESULT)
