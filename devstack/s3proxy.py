"""S3: S3Proxy on a file system, with checked signatures."""

import http.client
from collections.abc import Sequence
from pathlib import Path

from devstack import jars
from devstack.java import java_command
from devstack.ports import HOST
from devstack.service import Service
from devstack.state import State, write_private

REGION = "us-east-1"
_LOG_SETTINGS = Path(__file__).with_name("logback.xml")
_PROBE_TIMEOUT = 5.0


class S3Proxy(Service):
    """The object store; it has one access key."""

    name = "s3proxy"
    port_names = ("s3proxy",)
    stop_timeout = 10.0

    def __init__(self, directory: Path, state: State) -> None:
        super().__init__(directory, state)
        self.access_key_id = ""
        self.secret_access_key = ""
        self._settings = self.directory / "s3proxy.conf"
        self._objects = self.directory / "objects"

    @property
    def endpoint_url(self) -> str:
        """The address for clients."""
        return f"http://{HOST}:{self.port}"

    def prepare(self) -> None:
        """Write the configuration, which holds the secret key."""
        self._objects.mkdir(exist_ok=True)
        write_private(
            self._settings, "".join(f"{name}={value}\n" for name, value in self._properties().items())
        )

    def command(self) -> Sequence[str | Path]:
        """Return the server's command line."""
        logging = f"-Dlogback.configurationFile={_LOG_SETTINGS}"
        java = java_command(
            jars.class_path("s3proxy"), "org.gaul.s3proxy.Main", heap="256m", options=(logging,)
        )
        return [*java, "--properties", self._settings]

    def is_ready(self) -> bool:
        """Whether the server refuses an unsigned request."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_PROBE_TIMEOUT)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == http.HTTPStatus.FORBIDDEN
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _properties(self) -> dict[str, str]:
        return {
            "s3proxy.endpoint": self.endpoint_url,
            "s3proxy.authorization": "aws-v4",
            "s3proxy.identity": self.access_key_id,
            "s3proxy.credential": self.secret_access_key,
            "jclouds.provider": "filesystem-nio2",
            "jclouds.filesystem.basedir": str(self._objects),
            "jclouds.identity": "local",
            "jclouds.credential": "local",
            "jclouds.regions": REGION,
        }
