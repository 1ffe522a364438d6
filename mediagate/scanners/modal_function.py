"""One deployed Modal function through Modal's client, whose event loop has a thread of its own."""

import asyncio
import logging
import re

import modal
import structlog
from modal import exception
from pydantic import SecretStr, ValidationError

from mediagate.errors import RefusedError, TransientError
from mediagate.scanners.modal_messages import Answer, first_fault
from mediagate.scanners.modal_pickles import refuse_pickled_code

CLOSE_TIMEOUT = 2.0
VALUE_ERRORS = frozenset({"ValueError", "UnicodeError", "UnicodeDecodeError", "UnicodeEncodeError"})

log = structlog.get_logger("mediagate.scanners.modal")


class ModalFunction:
    """Connects at its first use; raises TransientError, or RefusedError where the jobs are at fault.

    No message holds what Modal or the function said: it may quote a signed URL or a token.
    """

    def __init__(self, app: str, name: str, token_id: str, token_secret: SecretStr) -> None:
        self._app = app
        self._name = name
        self._token_id = token_id
        self._token_secret = token_secret
        self._connection: asyncio.Task[modal.Client] | None = None

    async def close(self) -> None:
        """Ends the connection."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await asyncio.wait([connection])
                if not _has_failed(connection):
                    await connection.result().close.aio()
        except TimeoutError:
            connection.cancel()  # does nothing to one that stands
            log.warning("modal's connection did not end in time")

    async def look_up(self, timeout: float) -> None:
        """Raises where the function is not there for us; runs nothing. `timeout` is in seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._handle()
        except Exception as error:  # noqa: BLE001 - Modal's client raises its own, gRPC's and the network's errors
            raise self._failure(error, timeout) from None

    async def call(self, payload: object, timeout: float) -> Answer:
        """The function's answer; `timeout` is in seconds and includes connecting."""
        called = False
        try:
            async with asyncio.timeout(timeout):
                # Looked up each time: whoever deploys the function anew need not restart anything here.
                function = await self._handle()
                called = True
                answer = await function.remote.aio(payload)
        except Exception as error:  # noqa: BLE001 - likewise, and whatever the function raised
            if called and _is_refusal(error):
                raise RefusedError(f"modal: {self._name} refuses the jobs") from None
            raise self._failure(error, timeout) from None
        return _validated(answer)

    async def _handle(self) -> "modal.Function[..., object, object]":
        if self._connection is None or _has_failed(self._connection):
            self._connection = asyncio.create_task(self._connect())
        # Modal's client goes on connecting for a minute, whoever gives up: one such attempt is enough.
        client = await asyncio.shield(self._connection)
        function = modal.Function.from_name(self._app, self._name, client=client)
        await function.hydrate.aio()
        return function

    async def _connect(self) -> modal.Client:
        refuse_pickled_code()
        logging.getLogger("hpack").setLevel(logging.WARNING)  # it logs every header: the token is in one
        return await modal.Client.from_credentials.aio(self._token_id, self._token_secret.get_secret_value())

    def _failure(self, error: Exception, timeout: float) -> TransientError:
        match error:
            case TimeoutError():
                return TransientError(f"modal: no answer within {timeout:g} s")
            case exception.AuthError() | exception.PermissionDeniedError():
                return TransientError("modal: MODAL_TOKEN_ID and MODAL_TOKEN_SECRET are not accepted")
            case exception.NotFoundError():
                return TransientError(f"modal: there is no function {self._name} in an app {self._app}")
            case exception.RemoteError():
                return TransientError(f"modal: {self._name} raised {_remote_name(error)}")
            case _:
                return TransientError(f"modal: {type(error).__name__}")


def _has_failed(connection: asyncio.Task[modal.Client]) -> bool:
    return connection.done() and (connection.cancelled() or connection.exception() is not None)


def _is_refusal(error: Exception) -> bool:
    """Whether the function objects to its input, rather than Modal to anything.

    Its exception comes as such in a pickle, by its repr alone in CBOR.
    """
    if isinstance(error, exception.RemoteError):
        return _remote_name(error) in VALUE_ERRORS
    return type(error).__module__ == "builtins" and isinstance(error, ValueError)


def _remote_name(error: exception.RemoteError) -> str:
    name = re.match(r"(\w{1,64})\(", str(error))
    return name[1] if name else "an error"


def _validated(answer: object) -> Answer:
    try:
        return Answer.model_validate(answer)
    except ValidationError as error:
        raise TransientError(f"modal: {first_fault(error, 'answer')}") from None
