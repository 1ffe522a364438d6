"""The whole system through its command line, as an outside client with nothing but .devstack/env sees it."""

import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import boto3
import psutil
import pytest
import urllib3
from botocore.client import Config
from dotenv import dotenv_values
from PIL import Image

from mediagate.scanners.opening import UNSAFE_PICTURE

ROOT = Path(__file__).parents[2]
START_DEADLINE = 120.0
END_DEADLINE = 90.0
IMPATIENCE = {"IMAGE_MAX_WAIT": "3000", "VIDEO_MAX_WAIT": "1000", "RECOVERY_INTERVAL": "3"}


class Running:
    """`mediagate up --embedded` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        for name in ("topics.yaml", "policy.yaml"):
            shutil.copy(ROOT / name, folder)
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mediagate", "up", "--embedded"],
            cwd=folder,
            env=os.environ | IMPATIENCE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stderr is not None
        self.output = list(until(self.process.stderr, "Mediagate is up."))
        self.environment: Mapping[str, str] = {
            name: value or "" for name, value in dotenv_values(folder / ".devstack" / "env").items()
        }

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        response = urllib3.request(
            method,
            self.environment["MEDIAGATE_URL"] + path,
            json=body,
            headers={"Authorization": f"Bearer {self.environment['MEDIAGATE_TOKEN']}"},
            timeout=30.0,
        )
        return response.status, response.json()

    def upload(self, content: bytes, **fields: str) -> str:
        status, answer = self.request("POST", "/media/request-upload", wish(content) | fields)
        assert status == 201, answer
        signed = answer["upload"]
        put = urllib3.request(signed["method"], signed["url"], body=content, headers=signed["headers"])
        assert put.status == 200, put.data
        status, completed = self.request("POST", "/media/upload-complete", {"media_id": answer["media_id"]})
        assert status == 202, completed
        return str(answer["media_id"])

    def ended(self, media_id: str) -> dict[str, Any]:
        """The upload's answer once it is in a terminal state."""
        deadline = time.monotonic() + END_DEADLINE
        while time.monotonic() < deadline:
            _, answer = self.request("GET", f"/media/{media_id}")
            if answer["state"] in {"published", "quarantined", "needs_review", "unscannable", "expired"}:
                return dict(answer)
            time.sleep(0.2)
        raise AssertionError(f"{media_id} is still {answer['state']}")

    def s3_object(self, bucket: str, key: str) -> bytes:
        client = boto3.client(
            "s3",
            endpoint_url=self.environment["S3_ENDPOINT_URL"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=self.environment["AWS_REGION"],
            config=Config(s3={"addressing_style": "path"}),
        )
        with client.get_object(Bucket=bucket, Key=key)["Body"] as body:
            content: bytes = body.read()
        client.close()
        return content

    def child(self, module: str) -> psutil.Process:
        """The running process of one module."""
        deadline = time.monotonic() + START_DEADLINE
        while time.monotonic() < deadline:
            for process in psutil.Process(self.process.pid).children():
                if process.cmdline()[1:] == ["-m", module]:
                    return process
            time.sleep(0.2)
        raise AssertionError(f"{module} does not run")

    def service(self, main_class: str) -> psutil.Process:
        """The running Java process of an embedded service."""
        (found,) = [
            process
            for process in psutil.Process(self.process.pid).children(recursive=True)
            if main_class in process.cmdline()
        ]
        return found

    def stop(self) -> str:
        self.process.terminate()
        _, rest = self.process.communicate(timeout=120)
        return rest


def wish(content: bytes) -> dict[str, Any]:
    """The body of a request to upload a picture."""
    return {
        "user_id": "somebody",
        "file_name": "picture.png",
        "file_size": len(content),
        "mime_type": "image/png",
        "sha256_hash": hashlib.sha256(content).hexdigest(),
        "md5Hash": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "linked_to_id": "1",
        "linked_to_type": "post",
    }


def until(stream: IO[str], text: str) -> Iterator[str]:
    for line in stream:
        yield line
        if text in line:
            return
    raise AssertionError(f"{text!r} never came")


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (shade, 120, 90)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    system = Running(tmp_path_factory.mktemp("up"))
    try:
        yield system
    finally:
        if system.process.poll() is None:
            system.process.kill()
            system.process.wait()
        if system.process.stderr:
            system.process.stderr.close()


def test_an_outside_client_sees_its_upload_published(running: Running) -> None:
    content = picture(10)
    answer = running.ended(running.upload(content))
    assert answer["state"] == "published"
    item = answer["item"]
    assert (item["bucket"], item["key"]) == ("posts-media", "picture.png")
    assert (item["width"], item["height"]) == (64, 48)
    assert running.s3_object(item["bucket"], item["key"]) == content


def test_the_environment_file_names_everything_and_is_private(running: Running) -> None:
    assert set(running.environment) == {
        "KAFKA_BOOTSTRAP_SERVERS",
        "DATABASE_URL",
        "S3_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "MEDIAGATE_URL",
        "MEDIAGATE_TOKEN",
    }
    assert (running.folder / ".devstack" / "env").stat().st_mode & 0o077 == 0


def test_a_picture_that_the_model_calls_unsafe_is_quarantined(running: Running) -> None:
    content = UNSAFE_PICTURE.read_bytes()
    answer = running.ended(running.upload(content, file_name="blobs.jpg", mime_type="image/jpeg"))
    assert answer["state"] == "quarantined"
    assert answer["decision"]["reasons"][0].startswith("nsfw 0.9")


def test_killing_the_streams_worker_mid_window_changes_nothing(running: Running) -> None:
    uploads = [running.upload(picture(shade)) for shade in (20, 30, 40)]
    running.child("streams").kill()
    answers = [running.ended(media_id) for media_id in uploads]
    assert [answer["state"] for answer in answers] == ["published"] * 3
    assert len({answer["item"]["key"] for answer in answers}) == 3


def test_killing_the_sinks_worker_and_the_gateway_loses_nothing(running: Running) -> None:
    media_id = running.upload(picture(50))
    running.child("sinks").kill()
    assert running.ended(media_id)["state"] == "published"
    gateway = running.child("gateway")
    gateway.kill()
    gateway.wait(10)
    running.child("gateway")
    deadline = time.monotonic() + START_DEADLINE
    while time.monotonic() < deadline:
        try:
            assert running.request("GET", f"/media/{media_id}")[1]["state"] == "published"
        except urllib3.exceptions.HTTPError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the gateway did not come back")


def test_a_completion_is_accepted_while_kafka_is_away_and_the_event_follows(running: Running) -> None:
    running.service("kafka.Kafka").kill()
    media_id = running.upload(picture(70))
    assert running.ended(media_id)["state"] == "published"


def test_a_signed_upload_takes_no_other_bytes(running: Running) -> None:
    content = picture(60)
    _, answer = running.request("POST", "/media/request-upload", wish(content))
    signed = answer["upload"]
    assert b64decode(signed["headers"]["x-amz-checksum-sha256"]) == hashlib.sha256(content).digest()
    tampered = content[:-1] + bytes([content[-1] ^ 1])
    assert urllib3.request("PUT", signed["url"], body=tampered, headers=signed["headers"]).status >= 400
    assert running.request("POST", "/media/upload-complete", {"media_id": answer["media_id"]})[0] == 409


def test_it_drains_and_ends_all_its_children(running: Running) -> None:
    children = psutil.Process(running.process.pid).children(recursive=True)
    running.process.send_signal(signal.SIGTERM)
    rest = running.stop()
    assert running.process.returncode == 0, rest
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive, [process.cmdline() for process in alive]
