"""docs/performance.md says what was measured last."""

import shutil
from pathlib import Path

from benchmarks import scaling
from benchmarks.plots import draw
from benchmarks.results import Measurement, fill, load, medians, ratio, save

ROOT = Path(__file__).parents[2]
PAGE, RESULTS = ROOT / "docs" / "performance.md", ROOT / "benchmarks" / "results" / "latest.json"


def test_the_tables_are_those_of_the_last_run(tmp_path: Path) -> None:
    filled = tmp_path / "performance.md"
    shutil.copy(PAGE, filled)
    fill(filled, RESULTS)
    assert filled.read_text() == PAGE.read_text()


def test_every_area_has_a_table() -> None:
    assert [area for area in load(RESULTS) if f"<!-- {area} -->" not in PAGE.read_text()] == []


def test_an_area_is_saved_beside_the_others(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    save(file, "one", [Measurement("a", 1, 2, 3)], {"one_vs_b": 1.5}, {})
    save(file, "two", [Measurement("c", 1, 2, 3, 4, 5)], {"two_vs_d": None}, {})
    assert load(file) == {"one": [Measurement("a", 1, 2, 3)], "two": [Measurement("c", 1, 2, 3, 4, 5)]}
    assert '"two_vs_d"' not in file.read_text()


def test_only_timed_areas_show_latencies(tmp_path: Path) -> None:
    file, page = tmp_path / "results.json", tmp_path / "page.md"
    page.write_text("<!-- one -->\n\nold\n\n<!-- two -->\n\nold\n\nend\n")
    save(file, "one", [Measurement("a", 1, 2, 3)], {}, {})
    two = [Measurement("c", 10, 2, 3, 4, 5, lead=1.0), Measurement("d", 5, 2, 3, lead=2.0)]
    save(file, "two", two, {}, {})
    fill(page, file)
    before, _, after = page.read_text().partition("<!-- two -->")
    assert "p50" not in before
    assert "| c | 10 | 1.00 | 2.00 | 3 | 4.0 | 5.0 |\n| d | 5 | 2.00 | 2.00 | 3 |  |  |" in after
    assert after.endswith("\n\nend\n")


def test_peers_are_compared_within_each_rotation() -> None:
    ours, theirs = (10, 4, 9), (5, 4, 3)
    runs = [
        Measurement(peer, rate, 1, 1)
        for pair in zip(ours, theirs, strict=True)
        for peer, rate in zip("ab", pair, strict=True)
    ]
    measured = medians(runs)
    assert [(each.rate, each.lead) for each in measured] == [(9, 1), (4, 2)]
    assert ratio(measured, "a", "b") == 2
    assert ratio(measured, "a", "c") is None
    assert ratio(measured[1:], "a", "b") is None


def test_what_is_of_ours_alone_has_no_ratio(tmp_path: Path) -> None:
    file, page = tmp_path / "results.json", tmp_path / "page.md"
    page.write_text("<!-- one -->\n\nold\n\nend\n")
    save(file, "one", [Measurement("1 worker", 10, 2, 3, scale=1)], {}, {})
    fill(page, file)
    head = "|  | a second | CPU s / 10,000 | RSS MiB |"
    assert f"{head}\n| --- | ---: | ---: | ---: |\n| 1 worker | 10 | 2.00 | 3 |" in page.read_text()


def test_pictures_of_the_last_run_are_shown_and_always_the_same(tmp_path: Path) -> None:
    first, second = (draw(load(RESULTS), tmp_path / name) for name in ("first", "second"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert {path.name for path in first} == {path.name for path in (PAGE.parent / "images").iterdir()}
    assert [path.name for path in first if f"(images/{path.name})" not in PAGE.read_text()] == []


def test_the_paper_model_is_that_of_the_last_run(tmp_path: Path) -> None:
    page, filled = PAGE.parent / "scaling.md", tmp_path / "scaling.md"
    shutil.copy(page, filled)
    scaling.fill(filled, RESULTS)
    assert filled.read_text() == page.read_text()
