"""The API's description."""

import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from gateway.openapi import Json, openapi_document
from gateway.uploads import UploadRules
from mediagate.media import MediaType


@pytest.fixture
def document() -> Json:
    return openapi_document(
        UploadRules(frozenset({"image/png", "video/mp4"}), {MediaType.IMAGE: 10, MediaType.VIDEO: 20})
    )


def test_it_is_valid_openapi_3_1(document: Json) -> None:
    assert document["openapi"] == "3.1.0"
    OPENAPI_31_VALIDATOR.validate(document)


def test_it_states_the_limits_as_they_are_set(document: Json) -> None:
    properties = document["components"]["schemas"]["UploadRequest"]["properties"]

    assert properties["mime_type"]["enum"] == ["image/png", "video/mp4"]
    assert properties["file_size"]["maximum"] == 20
    assert properties["file_size"]["description"] == "Bytes; at most, image: 10, video: 20"


def test_every_reference_leads_somewhere(document: Json) -> None:
    for reference in _references(document):
        target: object = document
        for part in reference.removeprefix("#/").split("/"):
            assert isinstance(target, dict), reference
            target = target[part]


def test_only_operations_on_media_need_a_token(document: Json) -> None:
    for path, operations in document["paths"].items():
        for method in {"get", "post"} & set(operations):
            assert ("security" in operations[method]) == path.startswith("/media/")


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [reference for inner in value.values() for reference in _references(inner)]
    if isinstance(value, list):
        return [reference for inner in value for reference in _references(inner)]
    return []
