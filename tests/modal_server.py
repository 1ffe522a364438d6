"""A local server that speaks Modal's protocol to the real client, and can misbehave."""

import asyncio
import base64
import json
import pickle
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import cbor2
from grpclib import GRPCError, Status
from grpclib.const import Cardinality, Handler
from grpclib.server import Server, Stream
from modal_proto import api_pb2 as pb

from mediagate.settings import ScannerSettings

APP = "tomouh-scan-engine"
FUNCTION = "scan_media"
TOKEN_ID = "ak-test"
TOKEN_SECRET = "as-test-secret"
POLL = 5.0
"""Seconds that a request for a result waits at most, as it may at Modal's."""

Function = Callable[[Any], Awaitable[object]]
Reply = Callable[[Any], Awaitable[object]]


class ModalServer:
    """One deployed function; it gets what `.remote` was called with, and may raise."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.url = ""
        self.payloads: list[Any] = []
        self.rpcs: Counter[str] = Counter()
        self.unavailable: Counter[str] = Counter()
        """How many of the next requests of that name are answered UNAVAILABLE."""
        self.silent = False
        """Accepts connections and answers nothing."""
        self.input_plane = False
        """Whether calls take Modal's newer way."""
        self.pickles = False
        """Whether results are pickles whatever the client asks for."""
        self.abandoned = asyncio.Event()
        """Set once the client has given up a request."""
        self._results: dict[str, asyncio.Task[pb.FunctionGetOutputsItem]] = {}
        self._numbers = count()

    def settings(self, **changed: object) -> ScannerSettings:
        """A scanner's settings that fit this server."""
        return ScannerSettings.model_validate(
            {"modal_token_id": TOKEN_ID, "modal_token_secret": TOKEN_SECRET, "modal_timeout": "60"} | changed
        )

    def __mapping__(self) -> Mapping[str, Handler]:
        """What grpclib serves; every other request is answered UNIMPLEMENTED."""
        replies: tuple[tuple[Reply, type[Any], type[Any]], ...] = (
            (self._auth_token_get, pb.AuthTokenGetRequest, pb.AuthTokenGetResponse),
            (self._function_get, pb.FunctionGetRequest, pb.FunctionGetResponse),
            (self._function_map, pb.FunctionMapRequest, pb.FunctionMapResponse),
            (self._function_get_outputs, pb.FunctionGetOutputsRequest, pb.FunctionGetOutputsResponse),
            (self._attempt_start, pb.AttemptStartRequest, pb.AttemptStartResponse),
            (self._attempt_await, pb.AttemptAwaitRequest, pb.AttemptAwaitResponse),
        )
        return {
            f"/modal.client.ModalClient/{_rpc_name(request)}": Handler(
                self._handler(_rpc_name(request), reply), Cardinality.UNARY_UNARY, request, response
            )
            for reply, request, response in replies
        }

    async def close(self) -> None:
        """Ends what the function is still doing."""
        for task in self._results.values():
            task.cancel()
        await asyncio.gather(*self._results.values(), return_exceptions=True)

    def _handler(self, name: str, reply: Reply) -> Callable[[Stream[Any, Any]], Awaitable[None]]:
        async def handle(stream: Stream[Any, Any]) -> None:
            request = await stream.recv_message()
            self.rpcs[name] += 1
            self._let_in(stream)
            if self.unavailable[name] > 0:
                self.unavailable[name] -= 1
                raise GRPCError(Status.UNAVAILABLE, "injected")
            try:
                if self.silent:
                    await asyncio.Event().wait()
                await stream.send_message(await reply(request))
            except asyncio.CancelledError:
                self.abandoned.set()
                raise

        return handle

    def _let_in(self, stream: Stream[Any, Any]) -> None:
        assert stream.metadata is not None
        token = [str(stream.metadata.get(f"x-modal-token-{part}")) for part in ("id", "secret")]
        if token != [TOKEN_ID, TOKEN_SECRET]:
            raise GRPCError(Status.UNAUTHENTICATED, f"{' '.join(token)} is unknown")

    async def _auth_token_get(self, request: pb.AuthTokenGetRequest) -> pb.AuthTokenGetResponse:
        parts: tuple[dict[str, object], ...] = ({"alg": "none"}, {"exp": int(time.time()) + 3600}, {})
        encoded = (
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
        )
        return pb.AuthTokenGetResponse(token=".".join(encoded))

    async def _function_get(self, request: pb.FunctionGetRequest) -> pb.FunctionGetResponse:
        if (request.app_name, request.object_tag) != (APP, FUNCTION):
            raise GRPCError(Status.NOT_FOUND, "not found")
        handle = pb.FunctionHandleMetadata(
            function_name=FUNCTION,
            function_type=pb.Function.FUNCTION_TYPE_FUNCTION,
            app_id="ap-1",
            definition_id="de-1",
            supported_input_formats=[pb.DATA_FORMAT_PICKLE, pb.DATA_FORMAT_CBOR],
            supported_output_formats=[pb.DATA_FORMAT_CBOR],
            input_plane_url=self.url if self.input_plane else "",
            input_plane_region="local" if self.input_plane else "",
        )
        function = pb.Function(function_name=FUNCTION, function_type=pb.Function.FUNCTION_TYPE_FUNCTION)
        ranked = [pb.FunctionData.RankedFunction(rank=0, function=function)]
        return pb.FunctionGetResponse(
            function_id="fu-1", handle_metadata=handle, function=pb.FunctionData(ranked_functions=ranked)
        )

    async def _function_map(self, request: pb.FunctionMapRequest) -> pb.FunctionMapResponse:
        (item,) = request.pipelined_inputs
        call_id = self._start(item)
        put = pb.FunctionPutInputsResponseItem(idx=item.idx, input_id=f"in-{call_id}", input_jwt=call_id)
        return pb.FunctionMapResponse(function_call_id=call_id, pipelined_inputs=[put])

    async def _function_get_outputs(
        self, request: pb.FunctionGetOutputsRequest
    ) -> pb.FunctionGetOutputsResponse:
        output = await self._output(request.function_call_id, request.timeout)
        return pb.FunctionGetOutputsResponse(
            outputs=[] if output is None else [output], num_unfinished_inputs=int(output is None)
        )

    async def _attempt_start(self, request: pb.AttemptStartRequest) -> pb.AttemptStartResponse:
        return pb.AttemptStartResponse(attempt_token=self._start(request.input))

    async def _attempt_await(self, request: pb.AttemptAwaitRequest) -> pb.AttemptAwaitResponse:
        return pb.AttemptAwaitResponse(output=await self._output(request.attempt_token, request.timeout_secs))

    def _start(self, item: pb.FunctionPutInputsItem) -> str:
        call_id = f"fc-{next(self._numbers)}"
        self._results[call_id] = asyncio.create_task(self._run(item))
        return call_id

    async def _output(self, call_id: str, timeout: float) -> pb.FunctionGetOutputsItem | None:
        done, _ = await asyncio.wait([self._results[call_id]], timeout=min(timeout, POLL))
        return done.pop().result() if done else None

    async def _run(self, item: pb.FunctionPutInputsItem) -> pb.FunctionGetOutputsItem:
        assert item.input.data_format == pb.DATA_FORMAT_CBOR
        (payload,), _ = cbor2.loads(item.input.args)
        self.payloads.append(payload)
        data_format = pb.DATA_FORMAT_PICKLE if self.pickles else pb.DATA_FORMAT_CBOR
        dump = pickle.dumps if self.pickles else cbor2.dumps
        try:
            data = dump(await self.function(payload))
            result = pb.GenericResult(status=pb.GenericResult.GENERIC_STATUS_SUCCESS, data=data)
        except Exception as error:  # noqa: BLE001 - whatever the function raises goes to the client
            result = pb.GenericResult(
                status=pb.GenericResult.GENERIC_STATUS_FAILURE,
                exception=repr(error),
                data=pickle.dumps(error) if self.pickles else b"",
            )
        return pb.FunctionGetOutputsItem(result=result, idx=item.idx, data_format=data_format)


@asynccontextmanager
async def modal_server(function: Function, port: int = 0) -> AsyncIterator[ModalServer]:
    """Serves the function on 127.0.0.1; MODAL_SERVER_URL is for the caller to set."""
    served = ModalServer(function)
    server = Server([served])
    listening = socket.create_server(("127.0.0.1", port))
    served.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    await server.start(sock=listening)
    try:
        yield served
    finally:
        await served.close()
        server.close()
        await server.wait_closed()


def _rpc_name(request: type[Any]) -> str:
    return request.__name__.removesuffix("Request")
