"""Generated requests against the API's own description: no failure, nothing undocumented."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

from tests.integration.gateway.uploader import Client, token

TIMEOUT = 240
MAX_EXAMPLES = 40


async def test_every_answer_is_as_described(client: Client, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        "run",
        str(client.make_url("/openapi.json")),
        f"--header=Authorization: Bearer {token('backend', role='service')}",
        f"--max-examples={MAX_EXAMPLES}",
        "--seed=1",
        "--generation-deterministic",
        "--exclude-checks=positive_data_acceptance",  # limits hold between fields: a size per MIME type
        "--no-color",
        cwd=tmp_path,
        stdout=PIPE,
        stderr=STDOUT,
    )
    async with asyncio.timeout(TIMEOUT):
        printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
