"""What `modal deploy -m scan_engine.app` serves."""

import asyncio
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from modal_proto import api_pb2 as pb

from mediagate.scanners.opening import UNSAFE_PICTURE
from mediagate.settings import ScannerSettings
from scan_engine import app
from tests.conftest import ROOT
from tests.modal_deployments import Deployments, deployment_server
from tests.object_server import object_server

DEADLINE = 120.0


async def deploy() -> Deployments:
    """What the documented command sends."""
    async with deployment_server() as (deployments, url):
        token = {"MODAL_TOKEN_ID": "ak-test", "MODAL_TOKEN_SECRET": "as-test"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "modal", "deploy", "-m", "scan_engine.app"),
            cwd=ROOT,
            env=os.environ | token | {"MODAL_SERVER_URL": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 0, output.decode()
    return deployments


async def test_a_deployment_is_the_one_function() -> None:
    deployments = await deploy()

    settings = ScannerSettings.model_validate({})
    (function,) = deployments.functions
    (published,) = deployments.published
    assert published.name == function.app_name == settings.modal_app
    assert set(published.function_ids) == {function.function_name} == {settings.modal_function}
    assert not published.class_ids
    assert function.timeout_secs <= settings.modal_timeout.total_seconds()
    assert not function.resources.gpu_config.gpu_type
    assert list(function.supported_output_formats) == [pb.DATA_FORMAT_CBOR]
    assert function.untrusted


async def test_a_deployment_holds_the_code_and_its_pinned_dependencies() -> None:
    deployments = await deploy()

    locks = {bytes(file.data) for image in deployments.images for file in image.context_files}
    assert locks == {(ROOT / "requirements" / "runtime.lock").read_bytes()}
    mounted = {name.split("/", 2)[2] for name in deployments.mounted}  # in the container's home
    assert {"scan_engine/app.py", "mediagate/scanners/local.py"} <= mounted
    assert all(name.startswith(("scan_engine/", "mediagate/")) for name in mounted)


@pytest.fixture
def running_engine() -> Iterator[None]:
    with app.engine():
        yield
    app.engine.cache_clear()


async def test_the_function_scans(running_engine: None) -> None:
    with object_server() as server:
        server.put("unsafe", UNSAFE_PICTURE.read_bytes())
        jobs = [{"job_id": "job", "url": server.url("unsafe")}]

        answer: Any = await app.scan_media.local({"type": "images", "jobs": jobs})

    (result,) = answer["results"]
    assert result["scores"]["nsfw"] == pytest.approx(0.92, abs=0.02)
