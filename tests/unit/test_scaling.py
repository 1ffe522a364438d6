"""The paper model's arithmetic, by figures that one can do in one's head."""

import pytest

from benchmarks.results import Measurement
from benchmarks.scaling import Figures, Load, modal_cost, record_bytes, vision_cost
from mediagate.events import OutgoingRecord

STREAM = [Measurement("mediagate", 1, 1, 1), Measurement("mediagate, with its stores", 1, 20, 1)]


@pytest.mark.parametrize(("images", "usd"), [(0, 0), (1000, 1.5), (5_000_000, 7500), (6_000_000, 7500 + 600)])
def test_vision_is_cheaper_beyond_five_million(images: int, usd: float) -> None:
    assert vision_cost(images) == pytest.approx(usd)


def test_a_container_of_two_cores_costs_what_modal_says() -> None:
    assert modal_cost(2) == pytest.approx(2 * 0.0000131 + 4 * 0.00000222)


def test_what_was_measured_takes_the_place_of_what_is_assumed() -> None:
    areas = {"stream": STREAM, "engine": [Measurement("scanner", 50, 1, 1)], "video": []}
    assert Figures.of(areas) == Figures(decision=0.002, image=0.02, video=1.0)


def test_a_load_at_its_peak() -> None:
    load = Load(86_400 * 100)
    assert load.peak == 300
    assert load.images == pytest.approx(86_400 * 72)
    assert load.videos == pytest.approx(86_400 * 8)
    assert load.cores(86_400) == 5  # one on average, three at the peak, each 60 % busy


def test_a_records_bytes_are_those_of_its_parts() -> None:
    assert record_bytes(OutgoingRecord("t", b"key", b"value", [("a", b"bc")])) == 11
