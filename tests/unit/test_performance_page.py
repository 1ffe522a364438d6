"""docs/performance.md says what was measured last."""

from pathlib import Path

from benchmarks.results import load, markdown

ROOT = Path(__file__).parents[2]


def test_the_tables_are_those_of_the_last_run() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    for area, measured in load(ROOT / "benchmarks" / "results" / "latest.json").items():
        _, _, rest = page.partition(f"<!-- {area} -->\n\n")
        assert rest.partition("\n\n")[0] == markdown(measured)
