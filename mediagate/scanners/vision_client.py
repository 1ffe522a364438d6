"""Requests to Google Vision: their deadline, their retries, and what each failure means."""

import asyncio
from collections.abc import Sequence

import google.auth
import grpc.aio  # type: ignore[import-untyped]
import stamina
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.vision_v1 import AnnotateImageRequest, AnnotateImageResponse, ImageAnnotatorAsyncClient
from google.cloud.vision_v1.services.image_annotator.transports import ImageAnnotatorGrpcAsyncIOTransport
from google.oauth2 import service_account

from mediagate.errors import ConfigurationError, RefusedError, StopError, TransientError
from mediagate.progress import step_ended
from mediagate.settings import ScannerSettings

PLAINTEXT = "http://"

Code = grpc.StatusCode
MOMENTARY = frozenset(
    {
        Code.ABORTED,
        Code.CANCELLED,
        Code.DEADLINE_EXCEEDED,
        Code.INTERNAL,
        Code.RESOURCE_EXHAUSTED,
        Code.UNAVAILABLE,
        Code.UNKNOWN,
    }
)
"""Worth another try at once."""
NOT_LET_IN = frozenset({Code.PERMISSION_DENIED, Code.UNAUTHENTICATED})
"""An operator mends these."""
OF_THE_INPUT = frozenset({Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE})
"""No other try helps, but smaller parts may."""
TRANSIENT_NUMBERS = frozenset(code.value[0] for code in MOMENTARY | NOT_LET_IN)
"""The same as numbers, which is how an answer gives an image's own error."""


class VisionClient:
    """Google's client, connected while it is entered.

    No message holds what Vision said: it may quote a signed URL.
    """

    def __init__(self, settings: ScannerSettings) -> None:
        self._endpoint = settings.vision_endpoint
        self._timeout = settings.vision_timeout.total_seconds()
        self._attempts = settings.vision_attempts
        self._credentials = _key_file(settings)
        self._client: ImageAnnotatorAsyncClient | None = None

    async def __aenter__(self) -> "VisionClient":
        """Connects; raises ConfigurationError where there are no credentials."""
        self._client = await self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends the connection."""
        if self._client is not None:
            await self._client.transport.close()  # type: ignore[no-untyped-call]
            self._client = None

    async def annotate(self, requests: Sequence[AnnotateImageRequest]) -> Sequence[AnnotateImageResponse]:
        """One answer per request, in their order.

        Raises RefusedError where Vision refuses them as they are, TransientError where it gave no answer.
        """
        async for attempt in stamina.retry_context(
            on=_MomentaryError, attempts=self._attempts, timeout=None, wait_initial=0.5, wait_max=10.0
        ):
            with attempt:
                return await self._annotate_once(requests)
        raise StopError("retrying ended without an answer")

    async def _annotate_once(
        self, requests: Sequence[AnnotateImageRequest]
    ) -> Sequence[AnnotateImageResponse]:
        if self._client is None:
            raise StopError("vision: not connected")
        try:
            answer = await self._client.batch_annotate_images(
                requests=list(requests), timeout=self._timeout, retry=None
            )
        except GoogleAPICallError as error:
            raise _failure(error) from None
        finally:
            step_ended()
        if len(answer.responses) != len(requests):  # whose is which, nobody could tell
            raise TransientError(f"vision: {len(answer.responses)} answers for {len(requests)} images")
        return list(answer.responses)

    async def _connect(self) -> ImageAnnotatorAsyncClient:
        if self._endpoint is not None and self._endpoint.startswith(PLAINTEXT):
            channel = grpc.aio.insecure_channel(self._endpoint.removeprefix(PLAINTEXT).rstrip("/"))
            return ImageAnnotatorAsyncClient(transport=ImageAnnotatorGrpcAsyncIOTransport(channel=channel))
        return ImageAnnotatorAsyncClient(
            credentials=self._credentials or await self._default_credentials(),
            client_options=ClientOptions(api_endpoint=self._endpoint),
        )

    async def _default_credentials(self) -> Credentials:
        try:
            async with asyncio.timeout(self._timeout):
                credentials, _ = await asyncio.to_thread(google.auth.default)
        except (DefaultCredentialsError, TimeoutError):
            raise ConfigurationError(
                "vision: no Google credentials: set GOOGLE_APPLICATION_CREDENTIALS"
            ) from None
        return credentials


class _MomentaryError(TransientError):
    pass


def _failure(error: GoogleAPICallError) -> TransientError | RefusedError:
    code = error.grpc_status_code or Code.UNKNOWN
    if code in MOMENTARY:
        return _MomentaryError(f"vision: {code.name}")
    if code in OF_THE_INPUT:
        return RefusedError(f"vision: {code.name}")
    hint = ": check the credentials, and that the Vision API is enabled" if code in NOT_LET_IN else ""
    return TransientError(f"vision: {code.name}{hint}")


def _key_file(settings: ScannerSettings) -> Credentials | None:
    path = settings.google_application_credentials
    if path is None:
        return None
    try:
        credentials: Credentials = service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
            str(path)
        )
    except OSError as error:
        fault = error.strerror or type(error).__name__
    except (ValueError, AttributeError, TypeError):  # their messages may quote the file
        fault = "not a service account's key file"
    else:
        return credentials
    raise ConfigurationError(f"GOOGLE_APPLICATION_CREDENTIALS: {path}: {fault}")
