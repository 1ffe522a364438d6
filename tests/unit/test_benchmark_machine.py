"""What is measured has a core to itself."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINNED = """
import os
from pathlib import Path
from benchmarks.machine import cores, run_to_its_end, stay_on

measured, serves = before = cores()
stay_on(serves)
assert cores() == before
check = f"import os; assert os.sched_getaffinity(0) == {{{measured}}}"
run_to_its_end([os.sys.executable, "-c", check], {}, cores()[0], Path(os.devnull))
"""


def test_what_is_measured_is_not_where_all_that_serves_it_stays() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PINNED], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()
