"""Which credentials Google's client gets, and what is said where there are none."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mediagate.errors import ConfigurationError
from mediagate.scanners.vision_client import VisionClient
from mediagate.settings import ScannerSettings


@pytest.fixture(autouse=True)
def no_google_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    yield


def key_file(path: Path) -> Path:
    key = generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "client_email": "mediagate@example.iam.gserviceaccount.com",
                "token_uri": "https://oauth2.googleapis.com/token",
                "private_key": pem,
            }
        )
    )
    return path


async def test_a_key_file_is_enough_to_start(tmp_path: Path) -> None:
    settings = ScannerSettings(
        google_application_credentials=key_file(tmp_path / "key.json"),
        vision_endpoint="eu-vision.googleapis.com",
    )

    async with VisionClient(settings):
        pass


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"client_email": "a", "token_uri": "b", "private_key": "not-to-be-told"}']
)
def test_a_file_that_is_no_key_is_named_and_not_quoted(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)

    with pytest.raises(ConfigurationError) as raised:
        VisionClient(ScannerSettings(google_application_credentials=path))

    assert str(raised.value) == f"GOOGLE_APPLICATION_CREDENTIALS: {path}: not a service account's key file"


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^GOOGLE_APPLICATION_CREDENTIALS: .*No such file"):
        VisionClient(ScannerSettings(google_application_credentials=tmp_path / "nowhere.json"))


async def test_without_any_credentials_the_setting_is_named() -> None:
    with pytest.raises(ConfigurationError, match="set GOOGLE_APPLICATION_CREDENTIALS"):
        async with VisionClient(ScannerSettings()):
            pass
