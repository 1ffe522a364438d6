import asyncio

from mediagate.progress import step_ended, telling


async def test_steps_are_told_to_whose_work_they_are() -> None:
    images, videos = 0, 0

    def image() -> None:
        nonlocal images
        images += 1

    def video() -> None:
        nonlocal videos
        videos += 1

    async def work(steps: int) -> None:
        for _ in range(steps):
            await asyncio.gather(*(asyncio.to_thread(step_ended) for _ in range(2)))

    step_ended()  # nobody watches
    with telling(image):
        first = asyncio.create_task(work(2))
    with telling(video):
        await work(1)
    await first
    step_ended()

    assert (images, videos) == (4, 2)
