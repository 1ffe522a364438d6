"""JSON without a text in between is the JSON that pydantic writes."""

import pytest

from mediagate.event_examples import UPLOAD
from mediagate.events import Decision, Outcome
from mediagate.serializing import json_of


@pytest.mark.parametrize("score", [0.25, float("nan"), float("inf")])
def test_json_of_a_model_is_what_pydantic_dumps(score: float) -> None:
    upload = UPLOAD.model_copy(update={"file_name": "Grüße 😀.jpg", "added_later": {"a": [1]}})
    decision = Decision(
        media_id=upload.media_id,
        upload=upload,
        outcome=Outcome.NEEDS_REVIEW,
        reasons=("a reason",),
        scores={"nsfw": score},
    )

    assert json_of(decision) == decision.model_dump_json().encode()
