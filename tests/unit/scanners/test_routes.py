"""Which scanner a batch goes to, by default and as settings say."""

from typing import Any

import pytest
from pydantic import ValidationError

from mediagate.media import MediaType
from mediagate.scanners.routes import Route, ScannerName, choose, restricted
from mediagate.settings import ScannerSettings

VISION, MODAL, LOCAL = ScannerName.VISION, ScannerName.MODAL, ScannerName.LOCAL
GOOGLE = {"google_application_credentials": "/key.json"}
TOKEN = {"modal_token_id": "ak-1", "modal_token_secret": "as-1"}
REFERENCE = (Route(scanner=VISION, max_batch=16), Route(scanner=MODAL))


def settings(**values: Any) -> ScannerSettings:
    return ScannerSettings.model_validate(values)


@pytest.mark.parametrize(
    ("credentials", "images", "videos"),
    [
        ({}, (Route(scanner=LOCAL),), (Route(scanner=LOCAL),)),
        (GOOGLE, (Route(scanner=VISION),), (Route(scanner=LOCAL),)),
        (TOKEN, (Route(scanner=MODAL),), (Route(scanner=MODAL),)),
        (GOOGLE | TOKEN, REFERENCE, (Route(scanner=MODAL),)),
        ({"vision_endpoint": "http://127.0.0.1:1"} | TOKEN, REFERENCE, (Route(scanner=MODAL),)),
    ],
)
def test_the_default_is_the_references_where_credentials_are(
    credentials: dict[str, Any], images: tuple[Route, ...], videos: tuple[Route, ...]
) -> None:
    found = settings(**credentials)
    assert found.routes(MediaType.IMAGE) == images
    assert found.routes(MediaType.VIDEO) == videos


def test_routes_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "IMAGE_ROUTES", '[{"scanner": "modal", "max_batch": 4}, {"scanner": "vision", "fallback": "local"}]'
    )
    found = ScannerSettings()
    assert found.routes(MediaType.IMAGE) == (
        Route(scanner=MODAL, max_batch=4),
        Route(scanner=VISION, fallback=LOCAL),
    )
    assert found.scanners() == {VISION, MODAL, LOCAL}


@pytest.mark.parametrize(("items", "scanner"), [(1, VISION), (16, VISION), (17, MODAL), (50, MODAL)])
def test_small_batches_go_to_vision_and_larger_ones_to_modal(items: int, scanner: ScannerName) -> None:
    assert choose(REFERENCE, items).scanner is scanner


def test_the_last_route_takes_what_no_route_fits() -> None:
    assert choose(REFERENCE[:1], 17).scanner is VISION


@pytest.mark.parametrize(
    ("allowed", "kept"),
    [
        (None, list(REFERENCE)),
        (frozenset({MODAL}), [Route(scanner=MODAL)]),
        (frozenset({VISION}), [Route(scanner=VISION, max_batch=16)]),
        (frozenset({LOCAL}), []),
    ],
)
def test_only_allowed_scanners_stay(allowed: frozenset[ScannerName] | None, kept: list[Route]) -> None:
    assert restricted(REFERENCE, allowed) == kept


def test_an_allowed_fallback_takes_the_place_of_its_scanner() -> None:
    route = Route(scanner=VISION, max_batch=16, fallback=LOCAL)
    assert restricted([route], frozenset({LOCAL})) == [Route(scanner=LOCAL, max_batch=16)]


@pytest.mark.parametrize(
    ("faulty", "named"),
    [
        ({"image_routes": [{"scanner": "vision", "max_batch": 16}]}, "IMAGE_ROUTES: the last route"),
        ({"video_routes": [{"scanner": "vision"}]}, "VIDEO_ROUTES: vision scans images only"),
        ({"video_routes": [{"scanner": "modal", "fallback": "vision"}]}, "vision scans images only"),
        ({"image_routes": [{"scanner": "local", "fallback": "local"}]}, "falls back to itself"),
        ({"image_routes": [{"scanner": "locl"}]}, "image_routes.0.scanner"),
        ({"image_routes": []}, "image_routes"),
        ({"modal_token_id": "ak-1"}, "MODAL_TOKEN_SECRET"),
    ],
)
def test_routes_that_cannot_work_are_named(faulty: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError) as raised:
        settings(**faulty)
    assert named in str(raised.value)
