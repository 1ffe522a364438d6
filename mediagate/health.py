"""Metrics and health of a worker that has no web server of its own, from a thread."""

from collections.abc import Callable, Iterable
from threading import Thread
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from mediagate.errors import ConfigurationError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

REQUEST_TIMEOUT = 5.0


class HealthServer:
    """Serves /metrics, /livez and /readyz; `not_ready` says what is missing, or nothing."""

    def __init__(self, host: str, port: int, not_ready: Callable[[], str | None]) -> None:
        self._not_ready = not_ready
        self._metrics = make_wsgi_app()
        try:
            self._server = make_server(host, port, self._answer, WSGIServer, _QuietHandler)
        except OSError as error:
            raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        self.port: int = self._server.server_port

    def start(self) -> None:
        """Serves until `stop`."""
        Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def stop(self) -> None:
        """Ends the server and frees its port."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start_response)
            return answer
        missing = None if path == "/livez" else self._not_ready() if path == "/readyz" else "no such page"
        status = (
            "200 OK"
            if missing is None
            else "503 Service Unavailable"
            if path == "/readyz"
            else "404 Not Found"
        )
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [(missing or "ok").encode() + b"\n"]


class _QuietHandler(WSGIRequestHandler):
    timeout = REQUEST_TIMEOUT  # a client that says nothing does not hold the only thread

    def log_message(self, format: str, *args: Any) -> None:
        """Health checks are not worth a log line."""
