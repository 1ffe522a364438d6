from datetime import timedelta
from pathlib import Path

import pytest

from mediagate.errors import ConfigurationError
from mediagate.settings import GatewaySettings, StreamsSettings, load_settings

REQUIRED = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092", "DATABASE_URL": "postgresql://u:p@127.0.0.1/d"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for model in (GatewaySettings, StreamsSettings):
        for name in model.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)


def test_defaults_are_those_of_the_reference() -> None:
    settings = load_settings(StreamsSettings)
    assert (settings.image_batch_size, settings.video_batch_size) == (50, 10)
    assert (settings.image_max_wait, settings.video_max_wait) == (10_000, 10_000)
    assert settings.buckets == {
        "post": "posts-media",
        "opportunity": "opportunities-media",
        "profile_picture": "users-media",
        "project": "talent-profiles-media",
    }
    assert settings.default_bucket == "default-bucket"


def test_dotenv_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"JWT_SECRET={'s' * 32}\nPORT=4000\nSOMETHING_ELSE=1\n")
    assert load_settings(GatewaySettings).port == 4000


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5", 1.5), ("PT5M", 300)])
def test_a_duration_is_seconds_or_iso_8601(
    monkeypatch: pytest.MonkeyPatch, text: str, seconds: float
) -> None:
    monkeypatch.setenv("RECOVERY_INTERVAL", text)
    assert load_settings(StreamsSettings).recovery_interval == timedelta(seconds=seconds)


def test_every_fault_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("IMAGE_BATCH_SIZE", "0")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(StreamsSettings)
    message = str(caught.value)
    assert "DATABASE_URL: Field required" in message
    assert "IMAGE_BATCH_SIZE: " in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "exactly one of JWT_SECRET and JWT_JWKS_URL"),
        ({"JWT_SECRET": "s" * 32, "JWT_JWKS_URL": "https://id.invalid"}, "exactly one of"),
        ({"JWT_SECRET": "short"}, "at least 32 bytes"),
        ({"JWT_SECRET": "s" * 32, "DEFAULT_BUCKET": "media-temp"}, "must differ"),
    ],
)
def test_unsafe_combinations_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=message):
        load_settings(GatewaySettings)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "x" * 40)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y" * 40)
    shown = repr(load_settings(GatewaySettings))
    assert "x" * 40 not in shown
    assert "y" * 40 not in shown


@pytest.mark.parametrize("name", ["SCAN_TIMEOUT", "VISION_TIMEOUT", "MODAL_TIMEOUT"])
def test_the_watchdog_waits_for_every_step_of_a_scan(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "600")
    with pytest.raises(ConfigurationError, match=f"WATCHDOG_TIMEOUT: must be longer than {name}"):
        load_settings(StreamsSettings)
