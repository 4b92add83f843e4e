"""What a gRPC client sees of an Open Inference Protocol server, one JSON line a call.

    python infer_grpc.py HOST:PORT
"""

import json
import sys

import grpc
from mlserver.grpc.dataplane_pb2 import ModelInferRequest, ModelReadyRequest, ServerLiveRequest
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub


def asked(rows, model="churn", width=3):
    request = ModelInferRequest(model_name=model, id="an-id")
    tensor = request.inputs.add(name="predict", datatype="FP64", shape=[rows, width])
    tensor.contents.fp64_contents.extend([12.0, 70.35, 0.0][:width] * rows)
    request.outputs.add(name="predict_proba")
    return request


def metadata(pairs):
    # A proxy dates a response that has no date (RFC 9110, 6.6.1).
    return sorted([key, str(value)] for key, value in pairs or () if key != "date")


def say(what, call, request):
    try:
        reply, done = call.with_call(request, timeout=60)
        body = reply.SerializeToString().hex() if hasattr(reply, "SerializeToString") else reply.hex()
    except grpc.RpcError as error:
        body, done = None, error
    seen = {"call": what, "code": done.code().name, "details": done.details(), "body": body}
    seen |= {"initial": metadata(done.initial_metadata()), "trailing": metadata(done.trailing_metadata())}
    print(json.dumps(seen), flush=True)


with grpc.insecure_channel(sys.argv[1]) as channel:
    service = GRPCInferenceServiceStub(channel)
    say("live", service.ServerLive, ServerLiveRequest())
    say("ready", service.ModelReady, ModelReadyRequest(name="churn"))
    say("one row", service.ModelInfer, asked(1))
    say("many rows", service.ModelInfer, asked(20_000))
    say("an unknown model", service.ModelInfer, asked(1, model="none"))
    say("a wrong width", service.ModelInfer, asked(1, width=2))
    say("an unknown method", channel.unary_unary("/inference.GRPCInferenceService/Nothing"), b"")
