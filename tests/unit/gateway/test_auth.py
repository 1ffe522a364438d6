"""Tokens that count, and the ways to forge one."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.auth import Authenticator, PublishedKeys, SharedSecret, UnauthorizedError
from gateway.callers import Caller
from mediagate.errors import ConfigurationError, TransientError

SECRET = "a secret of the tests that is long enough for HS256"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class KnownKey:
    """SigningKeys with one public key, as a JWKS URL would give it."""

    algorithms: Sequence[str] = PublishedKeys.algorithms

    def __init__(self, key: object) -> None:
        self._key = key

    async def key_of(self, token: str) -> object:
        return self._key


def claims(**changes: Any) -> dict[str, Any]:
    """Valid claims, some changed or (None) left out."""
    valid = {"sub": "alice", "exp": datetime.now(UTC) + timedelta(minutes=5)}
    return {name: value for name, value in {**valid, **changes}.items() if value is not None}


def signed(key: Any = SECRET, algorithm: str = "HS256", headers: Any = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm, headers)


def forged(header: dict[str, Any], secret: bytes) -> str:
    """A token signed by hand: libraries refuse to make this one."""
    expires = (datetime.now(UTC) + timedelta(minutes=5)).timestamp()
    parts = [json.dumps(part).encode() for part in (header, {"sub": "alice", "exp": expires})]
    message = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = hmac.new(secret, message, hashlib.sha256).digest()
    return (message + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


async def caller_of(token: str, authenticator: Authenticator | None = None) -> Caller:
    return await (authenticator or Authenticator(SharedSecret(SECRET))).authenticate(f"Bearer {token}")


async def test_a_signed_token_names_its_subject() -> None:
    assert await caller_of(signed()) == Caller("alice", is_service=False)


@pytest.mark.parametrize(("key", "algorithm"), [(RSA_KEY, "RS256"), (EC_KEY, "ES256")])
async def test_public_keys_verify_tokens(key: Any, algorithm: str) -> None:
    authenticator = Authenticator(KnownKey(key.public_key()))

    assert (await caller_of(signed(key, algorithm), authenticator)).subject == "alice"


@pytest.mark.parametrize(
    ("role_claims", "is_service"),
    [
        ({"role": "service"}, True),
        ({"roles": ["reader", "service"]}, True),
        ({"role": "user"}, False),
        ({"roles": "service"}, False),
        ({"roles": ["services"]}, False),
        ({"role": ["service"]}, False),
        ({"roles": {"service": True}}, False),
    ],
)
async def test_the_service_role_is_one_exact_word(role_claims: Any, is_service: bool) -> None:
    assert (await caller_of(signed(**role_claims))).is_service is is_service


@pytest.mark.parametrize(
    ("caller", "user_id", "allowed"),
    [
        (Caller("alice", is_service=False), "alice", True),
        (Caller("alice", is_service=False), "bob", False),
        (Caller("alice", is_service=False), "Alice", False),
        (Caller("backend", is_service=True), "bob", True),
    ],
)
def test_only_a_service_acts_for_others(caller: Caller, user_id: str, allowed: bool) -> None:
    assert caller.may_act_for(user_id) is allowed


ATTACKS: dict[str, Callable[[], str]] = {
    "algorithm none": lambda: forged({"alg": "none", "typ": "JWT"}, b"").rpartition(".")[0] + ".",
    "algorithm None": lambda: forged({"alg": "None", "typ": "JWT"}, b""),
    "no signature": lambda: signed().rpartition(".")[0] + ".",
    "another secret": lambda: signed("another secret that is long enough for HS256"),
    "HS512 with the secret": lambda: jwt.encode(claims(), SECRET.ljust(64, "."), "HS512"),
    "RS256 where a secret is set": lambda: signed(RSA_KEY, "RS256"),
    "expired": lambda: signed(exp=datetime.now(UTC) - timedelta(seconds=1)),
    "no exp": lambda: signed(exp=None),
    "exp is no number": lambda: signed(exp="tomorrow"),
    "exp is infinite": lambda: signed(exp=float("inf")),
    "not valid yet": lambda: signed(nbf=datetime.now(UTC) + timedelta(minutes=5)),
    "no sub": lambda: signed(sub=None),
    "empty sub": lambda: signed(sub=""),
    "sub with NUL": lambda: signed(sub="alice\0"),
    "changed claims": lambda: ".".join(
        (signed().split(".")[0], signed(sub="bob").split(".")[1], signed().split(".")[2])
    ),
    "foreign jku": lambda: signed(
        "another secret that is long enough for HS256", headers={"jku": "http://127.0.0.1:9/jwks.json"}
    ),
    "own jwk": lambda: signed(
        "another secret that is long enough for HS256",
        headers={"jwk": {"kty": "oct", "k": "YW5vdGhlcg"}},
    ),
    "path in kid": lambda: forged({"alg": "HS256", "kid": "/dev/null"}, b""),
    "unknown critical header": lambda: forged({"alg": "HS256", "crit": ["x"], "x": 1}, SECRET.encode()),
    "deeply nested header": lambda: (
        base64.urlsafe_b64encode(b'{"alg":' + b"[" * 100_000).decode().rstrip("=") + ".e30.e30"
    ),
    "not JSON": lambda: "e30x.e30x.e30x",
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_a_forged_token_is_refused(name: str) -> None:
    with pytest.raises(UnauthorizedError) as refusal:
        await caller_of(ATTACKS[name]())

    assert refusal.value.status == 401
    assert refusal.value.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("secret", [PEM, PEM.strip(), b""])
async def test_the_public_key_is_no_hs256_secret(secret: bytes) -> None:
    with pytest.raises(UnauthorizedError):
        await caller_of(forged({"alg": "HS256"}, secret), Authenticator(KnownKey(RSA_KEY.public_key())))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YWxpY2U6",
        "Bearer a b.c.d",
        "Bearer a.b",
        "Bearer \udcff.\udcff.\udcff",
        "Bearer é.é.é",
        "Bearer a.b.c\n",
    ],
)
async def test_no_bearer_token_is_refused(header: str | None) -> None:
    with pytest.raises(UnauthorizedError):
        await Authenticator(SharedSecret(SECRET)).authenticate(header)


class TestRemembered:
    async def test_a_token_is_verified_once_and_another_one_of_the_same_user_again(self) -> None:
        asked: list[str] = []

        class Counted(SharedSecret):
            async def key_of(self, token: str) -> str:
                asked.append(token)
                return await super().key_of(token)

        authenticator = Authenticator(Counted(SECRET))
        first, second = signed(), signed(role="service")
        for token in (first, first, second):
            await caller_of(token, authenticator)
        assert asked == [first, second]
        assert (await caller_of(second, authenticator)).is_service

    async def test_a_known_token_with_another_signature_is_refused(self) -> None:
        authenticator = Authenticator(SharedSecret(SECRET))
        token = signed()
        await caller_of(token, authenticator)
        forged_token = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
        for _ in range(2):
            with pytest.raises(UnauthorizedError):
                await caller_of(forged_token, authenticator)


class TestAudienceAndIssuer:
    AUTHENTICATOR = Authenticator(SharedSecret(SECRET), audience="mediagate", issuer="https://id.example")

    @pytest.mark.parametrize("audience", ["mediagate", ["other", "mediagate"]])
    async def test_the_right_ones_are_accepted(self, audience: object) -> None:
        token = signed(aud=audience, iss="https://id.example")

        assert (await caller_of(token, self.AUTHENTICATOR)).subject == "alice"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"aud": "other", "iss": "https://id.example"},
            {"iss": "https://id.example"},
            {"aud": "mediagate", "iss": "https://evil.example"},
            {"aud": "mediagate"},
        ],
    )
    async def test_others_are_refused(self, wrong: dict[str, str]) -> None:
        with pytest.raises(UnauthorizedError):
            await caller_of(signed(**wrong), self.AUTHENTICATOR)

    async def test_an_audience_does_not_matter_where_none_is_set(self) -> None:
        assert (await caller_of(signed(aud="anything"))).subject == "alice"


class TestPublishedKeys:
    @pytest.fixture
    def keys(self, monkeypatch: pytest.MonkeyPatch) -> PublishedKeys:
        keys = PublishedKeys("http://127.0.0.1:9/jwks.json")
        published = [
            {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY.public_key())), "kid": "rsa"},
            {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode(), "kid": "oct"},
        ]
        monkeypatch.setattr(keys._client, "fetch_data", lambda: {"keys": published})
        return keys

    async def test_the_key_is_found_by_its_id(self, keys: PublishedKeys) -> None:
        token = signed(RSA_KEY, "RS256", {"kid": "rsa"})

        assert (await caller_of(token, Authenticator(keys))).subject == "alice"

    @pytest.mark.parametrize(
        "token",
        [
            signed(RSA_KEY, "RS256", {"kid": "unknown"}),
            signed(RSA_KEY, "RS256"),
            signed(EC_KEY, "ES256", {"kid": "rsa"}),
            signed(SECRET, "HS256", {"kid": "oct"}),
        ],
        ids=["unknown kid", "no kid", "another key", "shared secret in the set"],
    )
    async def test_other_keys_are_refused(self, keys: PublishedKeys, token: str) -> None:
        with pytest.raises(UnauthorizedError):
            await caller_of(token, Authenticator(keys))

    async def test_the_event_loop_is_not_held(
        self, keys: PublishedKeys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop, called = asyncio.get_running_loop(), asyncio.Event()
        fetch = keys._client.fetch_data

        def slow() -> Any:
            asyncio.run_coroutine_threadsafe(_set(called), loop).result(timeout=5)
            return fetch()

        monkeypatch.setattr(keys._client, "fetch_data", slow)
        await caller_of(signed(RSA_KEY, "RS256", {"kid": "rsa"}), Authenticator(keys))
        assert called.is_set()

    async def test_keys_that_cannot_be_had_are_no_refusal(
        self, keys: PublishedKeys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> Any:
            raise jwt.PyJWKClientConnectionError("connection refused")

        monkeypatch.setattr(keys._client, "fetch_data", fail)
        with pytest.raises(TransientError, match="JWKS"):
            await caller_of(signed(RSA_KEY, "RS256", {"kid": "rsa"}), Authenticator(keys))

    def test_a_url_must_be_http(self) -> None:
        with pytest.raises(ConfigurationError, match="JWT_JWKS_URL"):
            PublishedKeys("file:///etc/passwd")


async def _set(event: asyncio.Event) -> None:
    event.set()
