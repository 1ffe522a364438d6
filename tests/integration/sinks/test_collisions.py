"""Nothing that is published is ever overwritten."""

import asyncio

import pytest

from mediagate.errors import DeadLetterError
from mediagate.events import Outcome, UploadCompleted
from mediagate.jobs import State
from sinks.effects import Effects
from tests.integration.sinks.scene import Scene, decision


def names(upload: UploadCompleted) -> list[str]:
    return ["photo.jpg", f"photo-{upload.media_id.hex[:8]}.jpg", f"photo-{upload.media_id.hex}.jpg"]


async def test_a_second_upload_of_a_name_gets_another(scene: Scene, effects: Effects) -> None:
    first, second = scene.upload(body=b"first"), scene.upload(body=b"second")
    bucket = scene.settings.buckets["post"]

    for upload in (first, second):
        assert await effects.carry_out(decision(upload, Outcome.APPROVED)) is State.PUBLISHED

    assert scene.read(bucket, "photo.jpg") == b"first"
    assert scene.read(bucket, names(second)[1]) == b"second"
    item = await scene.row("media_items", second.media_id)
    assert item is not None
    assert (item["key"], item["file_name"]) == (names(second)[1], "photo.jpg")


async def test_uploads_of_one_name_at_once_all_get_a_place(scene: Scene, effects: Effects) -> None:
    uploads = [scene.upload(body=f"body {number}".encode()) for number in range(12)]

    await asyncio.gather(*(effects.carry_out(decision(upload, Outcome.APPROVED)) for upload in uploads))

    ((bucket, keys),) = scene.everywhere().items()
    assert len(keys) == len(uploads)
    for number, upload in enumerate(uploads):
        item = await scene.row("media_items", upload.media_id)
        assert item is not None
        assert scene.read(bucket, item["key"]) == f"body {number}".encode()
    assert "photo.jpg" in keys


async def test_the_same_name_in_another_folder_is_no_collision(scene: Scene, effects: Effects) -> None:
    uploads = [scene.upload(linked_to_type=kind) for kind in ("comment", "story")]

    for upload in uploads:
        await effects.carry_out(decision(upload, Outcome.APPROVED))

    assert scene.everywhere() == {scene.settings.default_bucket: ["comment/photo.jpg", "story/photo.jpg"]}


@pytest.mark.parametrize("taken", [1, 2])
async def test_an_object_that_is_not_ours_is_left_alone(scene: Scene, effects: Effects, taken: int) -> None:
    upload = scene.upload()
    bucket = scene.settings.buckets["post"]
    for name in names(upload)[:taken]:
        scene.client.put_object(Bucket=bucket, Key=name, Body=b"foreign")

    assert await effects.carry_out(decision(upload, Outcome.APPROVED)) is State.PUBLISHED

    assert all(scene.read(bucket, name) == b"foreign" for name in names(upload)[:taken])
    assert scene.read(bucket, names(upload)[taken]) == b"a picture"
    item = await scene.row("media_items", upload.media_id)
    assert item is not None
    assert item["key"] == names(upload)[taken]


async def test_an_upload_for_which_no_name_is_free_is_a_dead_letter(scene: Scene, effects: Effects) -> None:
    upload = scene.upload()
    for name in names(upload):
        scene.client.put_object(Bucket=scene.settings.buckets["post"], Key=name, Body=b"foreign")

    with pytest.raises(DeadLetterError, match="no_free_name"):
        await effects.carry_out(decision(upload, Outcome.APPROVED))

    assert scene.keys(upload.bucket) == [upload.key]


async def test_the_longest_names_find_a_place(scene: Scene, effects: Effects) -> None:
    uploads = [scene.upload(file_name="日" * 83 + ".jpeg", linked_to_type="x" * 64) for _ in range(2)]

    for upload in uploads:
        assert await effects.carry_out(decision(upload, Outcome.APPROVED)) is State.PUBLISHED

    (keys,) = scene.everywhere().values()
    assert len(keys) == 2
    assert all(key.endswith(".jpeg") for key in keys)
