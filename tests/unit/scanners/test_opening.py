"""Scanners' packages are needed only where a route names them."""

import subprocess
import sys

import pytest

from mediagate.errors import ConfigurationError
from mediagate.media_pool import MediaPool
from mediagate.scanners.opening import UNSAFE_PICTURE, canary_picture, open_scanner
from mediagate.scanners.routes import ScannerName
from tests.settings import streams_settings

PACKAGES = {ScannerName.VISION: "google.cloud.vision_v1", ScannerName.MODAL: "modal"}


@pytest.mark.parametrize("module", ["streams.app", "mediagate.cli"])
def test_no_scanners_package_is_imported_before_a_route_names_it(module: str) -> None:
    scanners = {"google.cloud.vision_v1", "grpc", "modal", "onnxruntime"}
    check = f"import sys, {module}; sys.exit(', '.join({scanners} & set(sys.modules)) or 0)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize("name", PACKAGES)
async def test_a_package_that_is_not_installed_is_named(
    name: ScannerName, monkeypatch: pytest.MonkeyPatch
) -> None:
    for loaded in [each for each in sys.modules if each.startswith("mediagate.scanners.")]:
        if loaded.rpartition(".")[2].startswith(name.value):
            monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    settings = streams_settings()
    with MediaPool(settings) as pool, pytest.raises(ConfigurationError) as raised:
        async with open_scanner(name, settings, pool):
            pass
    assert str(raised.value) == (
        f"{name} scanner: {PACKAGES[name]} is not installed; install mediagate[{name}]"
    )


def test_a_canary_is_shipped_for_the_local_model_and_may_be_chosen() -> None:
    shipped = streams_settings()
    assert canary_picture(ScannerName.LOCAL, shipped) == UNSAFE_PICTURE
    assert canary_picture(ScannerName.MODAL, shipped) == UNSAFE_PICTURE
    assert canary_picture(ScannerName.VISION, shipped) is None
    own = streams_settings(canary_files={"vision": "own.jpg"})
    assert str(canary_picture(ScannerName.VISION, own)) == "own.jpg"
