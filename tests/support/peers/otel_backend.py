"""A model server as its owners instrument it: FastAPI under OpenTelemetry, whose spans go out by OTLP/HTTP.

    python otel_backend.py PORT http://COLLECTOR/v1/traces

    POST /predict  {"features": [[number, ...], ...]}
               ->  {"predictions": [0, ...], "probabilities": [[p, 1 - p], ...]}; 500 where a number is negative
    GET /health
"""

import math
import sys

import uvicorn
from fastapi import FastAPI, HTTPException
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic import BaseModel

port, url = sys.argv[1:]
provider = TracerProvider(resource=Resource.create({"service.name": "backend"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url), schedule_delay_millis=100))
app = FastAPI(title="backend")


class Question(BaseModel):
    features: list[list[float]]


@app.post("/predict")
async def predict(question: Question):
    if any(number < 0 for row in question.features for number in row):
        raise HTTPException(500, "this model knows no negative numbers")
    scores = [1 / (1 + math.exp(2 - sum(row) / 40)) for row in question.features]
    return {
        "predictions": [int(score > 0.5) for score in scores],
        "probabilities": [[1 - score, score] for score in scores],
    }


@app.get("/health")
async def health():
    return {"status": "healthy"}


FastAPIInstrumentor.instrument_app(
    app, tracer_provider=provider, excluded_urls="health", exclude_spans=["receive", "send"]
)
uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")
