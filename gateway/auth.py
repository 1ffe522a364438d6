"""Bearer tokens: verified by PyJWT, and who calls by them."""

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Protocol

import jwt
from jwt.types import Options
from pydantic import TypeAdapter, ValidationError

from gateway.callers import Caller, RememberedCallers
from gateway.problems import ProblemError
from mediagate.errors import ConfigurationError, TransientError
from mediagate.events import Identifier
from mediagate.settings import GatewaySettings

BEARER = re.compile(r"[Bb]earer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*) *")
SERVICE_ROLE = "service"
SUBJECT: TypeAdapter[str] = TypeAdapter(Identifier)
JWKS_TIMEOUT = 5.0
JWKS_THREADS = 2


class UnauthorizedError(ProblemError):
    """No token, or none that counts here."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            HTTPStatus.UNAUTHORIZED,
            detail,
            headers={"WWW-Authenticate": 'Bearer realm="mediagate", error="invalid_token"'},
        )


class SigningKeys(Protocol):
    """Where the key of a token comes from; `algorithms` are the only ones it may be used with."""

    @property
    def algorithms(self) -> Sequence[str]:
        """JWS algorithms."""
        ...

    async def key_of(self, token: str) -> Any:
        """The key; raises jwt.PyJWTError where there is none, TransientError where nobody can tell."""
        ...


class SharedSecret:
    """One HS256 secret for all tokens."""

    algorithms = ("HS256",)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def key_of(self, token: str) -> str:
        """The secret."""
        return self._secret


class PublishedKeys:
    """Public keys of a JWKS URL, fetched in threads and kept; what a token says of a URL is ignored."""

    algorithms = ("RS256", "ES256")

    def __init__(self, url: str) -> None:
        try:
            self._client = jwt.PyJWKClient(url, timeout=JWKS_TIMEOUT)
        except jwt.PyJWKClientError as error:
            raise ConfigurationError(f"JWT_JWKS_URL: {error}") from error
        self._threads = ThreadPoolExecutor(JWKS_THREADS, thread_name_prefix="jwks")

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def key_of(self, token: str) -> jwt.PyJWK:
        """The key that the token's `kid` names."""
        find: Callable[[str], jwt.PyJWK] = self._client.get_signing_key_from_jwt
        try:
            key = await asyncio.get_running_loop().run_in_executor(self._threads, find, token)
        except (jwt.PyJWKClientConnectionError, jwt.PyJWKSetError, OSError) as error:
            raise TransientError(f"JWKS URL does not answer: {error}") from error
        if key.algorithm_name not in self.algorithms:
            raise jwt.InvalidAlgorithmError(key.algorithm_name)
        return key


class Authenticator:
    """Turns an Authorization header into a Caller."""

    def __init__(
        self,
        keys: SigningKeys,
        audience: str | None = None,
        issuer: str | None = None,
        remembered: RememberedCallers | None = None,
    ) -> None:
        self._keys = keys
        self._remembered = remembered or RememberedCallers()
        self._audience = audience
        self._issuer = issuer
        required = ["exp", "sub"]
        required += ["aud"] if audience is not None else []
        required += ["iss"] if issuer is not None else []
        self._options: Options = {"require": required, "verify_aud": audience is not None}

    async def authenticate(self, authorization: str | None) -> Caller:
        """Who calls; raises UnauthorizedError, and TransientError where the keys cannot be had."""
        match = BEARER.fullmatch(authorization or "")
        if match is None:
            raise UnauthorizedError("a bearer token is needed: Authorization: Bearer <JWT>")
        return self._remembered.caller_of(match[1]) or await self._verified(match[1])

    async def _verified(self, token: str) -> Caller:
        try:
            claims = await self._claims(token)
            caller, expires_at = _caller(claims), float(claims["exp"])
        except jwt.ExpiredSignatureError as error:
            raise UnauthorizedError("the token has expired") from error
        except (jwt.PyJWTError, ValidationError, RecursionError, ValueError, OverflowError) as error:
            raise UnauthorizedError("the token is not valid here") from error
        self._remembered.remember(token, caller, expires_at)
        return caller

    async def _claims(self, token: str) -> dict[str, Any]:
        return jwt.decode(
            token,
            await self._keys.key_of(token),
            algorithms=self._keys.algorithms,
            audience=self._audience,
            issuer=self._issuer,
            options=self._options,
        )


def signing_keys(settings: GatewaySettings) -> SharedSecret | PublishedKeys:
    """The keys that the settings name."""
    if settings.jwt_secret is not None:
        return SharedSecret(settings.jwt_secret.get_secret_value())
    return PublishedKeys(settings.jwt_jwks_url or "")


def _caller(claims: dict[str, Any]) -> Caller:
    roles = claims.get("roles")
    is_service = claims.get("role") == SERVICE_ROLE or (isinstance(roles, list) and SERVICE_ROLE in roles)
    return Caller(SUBJECT.validate_python(claims["sub"]), is_service)
