"""The Modal scanner: a function on Modal, such as scan_engine's, reads and scores the objects itself."""

import asyncio
from collections.abc import Sequence
from types import TracebackType

import stamina
import structlog

from mediagate.errors import ConfigurationError, MediagateError, RefusedError, TransientError
from mediagate.media import MediaType
from mediagate.progress import step_ended
from mediagate.scanners import ScanItem, Scanned, ScanResult
from mediagate.scanners.modal_answers import Call, calls
from mediagate.scanners.modal_function import ModalFunction
from mediagate.scanners.unchanged import why_not_accepted
from mediagate.settings import ScannerSettings

FIRST_WAIT = 1.0
LONGEST_WAIT = 10.0
"""Seconds between tries: doubling from the first to the longest, with a random second added."""
CHECK_TIMEOUT = 15.0
READS = 8
"""Objects that are read again at once."""

log = structlog.get_logger("mediagate.scanners.modal")


class ModalScanner:
    """A Scanner that connects at its first use.

    Each try has `modal_timeout`, connecting included. One that is given up runs on in its container.
    """

    name = "modal"

    def __init__(self, settings: ScannerSettings) -> None:
        if settings.modal_token_id is None or settings.modal_token_secret is None:
            raise ConfigurationError("modal scanner: MODAL_TOKEN_ID and MODAL_TOKEN_SECRET are not set")
        self._function = ModalFunction(
            settings.modal_app, settings.modal_function, settings.modal_token_id, settings.modal_token_secret
        )
        self._timeout = settings.modal_timeout.total_seconds()
        self._attempts = settings.modal_attempts
        self._model_version: str | None = None
        self._reads = asyncio.Semaphore(READS)

    async def __aenter__(self) -> "ModalScanner":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection."""
        await self._function.close()

    async def check(self) -> None:
        """Raises TransientError where the function is not there for us; runs nothing."""
        await self._function.look_up(min(CHECK_TIMEOUT, self._timeout))

    async def model_version(self) -> str:
        """The function's own: asked for once, then known from its answers; raises TransientError."""
        if self._model_version is None:
            call = Call(MediaType.IMAGE, {})
            await self._ask(call)
            if call.failure is not None:
                raise TransientError(str(call.failure))
            self._model_version = call.model_versions[-1]
        return self._model_version

    async def scan(self, items: Sequence[ScanItem]) -> Sequence[ScanResult]:
        """One result per item, in the items' order.

        Raises TransientError where no answer came or another model gave one, RefusedError where the function
        refuses the jobs.
        """
        before = self._model_version
        asked = calls(items)
        for call in asked:
            await self._ask(call)
        failures = [call.failure for call in asked if call.failure is not None]
        if failures and not any(call.results for call in asked):
            raise failures[0]
        self._expect_one_model(before, asked)
        of_job = {(call.media_type, job_id): call for call in asked for job_id in call.job_ids}
        return await asyncio.gather(
            *(self._result(item, of_job[item.media_type, item.job_id]) for item in items)
        )

    async def _ask(self, call: Call) -> None:
        """Tries until no job is open, or all tries are used up."""
        try:
            async for attempt in stamina.retry_context(
                on=(TransientError, RefusedError),
                attempts=self._attempts,
                timeout=None,
                wait_initial=FIRST_WAIT,
                wait_max=LONGEST_WAIT,
            ):
                with attempt:
                    await self._try(call)
        except (TransientError, RefusedError) as error:
            log.warning("modal left jobs open", jobs=len(call.open), error=str(error))

    async def _try(self, call: Call) -> None:
        try:
            answer = await self._function.call(call.payload(), self._timeout)
        except MediagateError as error:
            call.tries.append(error)
            raise
        finally:
            step_ended()
        call.tries.append(None)
        if unknown := call.take(answer):
            log.warning("modal gave results that nobody asked for", results=unknown)
        if call.open:
            raise TransientError(f"modal: {len(call.open)} of {len(call.job_ids)} jobs have no result")

    def _expect_one_model(self, before: str | None, asked: Sequence[Call]) -> None:
        versions = [version for call in asked for version in call.model_versions]
        if not versions:
            return
        self._model_version = versions[-1]
        if {before or versions[-1], *versions} != {versions[-1]}:
            raise TransientError(
                f"modal: the model is {versions[-1]} now: what it said before does not count"
            )

    async def _result(self, item: ScanItem, call: Call) -> ScanResult:
        result = call.result(item)
        if not isinstance(result, Scanned) or call.is_bound(item):
            return result
        async with self._reads:
            return await why_not_accepted(item) or result
