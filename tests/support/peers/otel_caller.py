"""A caller with the OpenTelemetry SDK: asks a model N times, each time in a sampled trace of its own, exports its
spans and writes the ids of the traces as a JSON list.

    python otel_caller.py http://WEIR/predict N http://COLLECTOR/v1/traces
"""

import json
import sys

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import format_trace_id

model, times, url = sys.argv[1:]
provider = TracerProvider(resource=Resource.create({"service.name": "caller"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
tracer = provider.get_tracer("caller")
RequestsInstrumentor().instrument(tracer_provider=provider)

traces = []
# `with` closes the connection; the exporter's own session is not instrumented while it exports.
with requests.Session() as session:
    for i in range(int(times)):
        with tracer.start_as_current_span("ask") as span:
            traces.append(format_trace_id(span.get_span_context().trace_id))
            answer = session.post(model, json={"features": [[(i * 7) % 72, 20 + (i * 11) % 95, 0]]}, timeout=30)
            answer.raise_for_status()
provider.shutdown()
print(json.dumps(traces))
