"""A local server that takes what `modal deploy` sends, and builds nothing."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from grpclib.const import Cardinality, Handler
from grpclib.server import Server, Stream
from modal_proto import api_pb2 as pb

BUILDER = "2025.06"
"""Modal's version of how images are built."""

Take = Callable[[Any], object]


class Deployments:
    """Every function, image, mount and app that was sent."""

    def __init__(self) -> None:
        self.functions: list[pb.Function] = []
        self.images: list[pb.Image] = []
        self.mounted: set[str] = set()
        self.published: list[pb.AppPublishRequest] = []

    def __mapping__(self) -> Mapping[str, Handler]:
        """What grpclib serves: the requests of a deployment, in their usual order."""
        takes: Mapping[str, Take] = {
            "AppGetByDeploymentName": lambda request: pb.AppGetByDeploymentNameResponse(),
            "AppCreate": lambda request: pb.AppCreateResponse(app_id="ap-1"),
            "AppHeartbeat": lambda request: Empty(),
            "EnvironmentGetOrCreate": _environment,
            "FunctionPrecreate": _precreated,
            "MountBatchedCheckExistence": lambda request: pb.MountBatchedCheckExistenceResponse(),
            "MountGetOrCreate": self._mount,
            "ImageGetOrCreate": self._image,
            "FunctionCreate": self._function,
            "AppPublish": self._publish,
            "AppClientDisconnect": lambda request: Empty(),
        }
        return {
            f"/modal.client.ModalClient/{name}": Handler(
                _handler(take),
                Cardinality.UNARY_UNARY,
                getattr(pb, f"{name}Request"),
                getattr(pb, f"{name}Response", Empty),
            )
            for name, take in takes.items()
        }

    def _mount(self, request: pb.MountGetOrCreateRequest) -> pb.MountGetOrCreateResponse:
        self.mounted.update(file.filename for file in request.files)
        return pb.MountGetOrCreateResponse(mount_id="mo-1")

    def _image(self, request: pb.ImageGetOrCreateRequest) -> pb.ImageGetOrCreateResponse:
        self.images.append(request.image)
        built = pb.GenericResult(status=pb.GenericResult.GENERIC_STATUS_SUCCESS)
        return pb.ImageGetOrCreateResponse(image_id=f"im-{len(self.images)}", result=built)

    def _function(self, request: pb.FunctionCreateRequest) -> pb.FunctionCreateResponse:
        self.functions.append(request.function)
        ranked = [pb.FunctionData.RankedFunction(rank=0, function=request.function)]
        return pb.FunctionCreateResponse(
            function_id=request.existing_function_id,
            handle_metadata=pb.FunctionHandleMetadata(function_name=request.function.function_name),
            function=request.function,
            function_data=pb.FunctionData(ranked_functions=ranked),
        )

    def _publish(self, request: pb.AppPublishRequest) -> pb.AppPublishResponse:
        self.published.append(request)
        return pb.AppPublishResponse(url="http://127.0.0.1/", deployed_at=1.0)


@asynccontextmanager
async def deployment_server() -> AsyncIterator[tuple[Deployments, str]]:
    """What is deployed, and the URL to deploy to."""
    deployments = Deployments()
    server = Server([deployments])
    listening = socket.create_server(("127.0.0.1", 0))
    await server.start(sock=listening)
    try:
        yield deployments, f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


def _environment(request: pb.EnvironmentGetOrCreateRequest) -> pb.EnvironmentGetOrCreateResponse:
    settings = pb.EnvironmentSettings(image_builder_version=BUILDER)
    return pb.EnvironmentGetOrCreateResponse(
        environment_id="en-1", metadata=pb.EnvironmentMetadata(settings=settings)
    )


def _precreated(request: pb.FunctionPrecreateRequest) -> pb.FunctionPrecreateResponse:
    handle = pb.FunctionHandleMetadata(function_name=request.function_name)
    return pb.FunctionPrecreateResponse(function_id=f"fu-{request.function_name}", handle_metadata=handle)


def _handler(take: Take) -> Callable[[Stream[Any, Any]], Awaitable[None]]:
    async def handle(stream: Stream[Any, Any]) -> None:
        await stream.send_message(take(await stream.recv_message()))

    return handle
