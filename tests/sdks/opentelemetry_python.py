"""OpenTelemetry's Python SDK against Hone: model calls told by spans. Needs HONE_URL and HONE_KEY (scopes record, read)."""

import json
import os
import time
import urllib.parse
import urllib.request

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

URL = os.environ["HONE_URL"]
KEY = os.environ["HONE_KEY"]
# Makes names unlike those of an earlier run against the same Hone.
RUN = str(time.time_ns())
SECOND_NS = 1_000_000_000
ENDPOINT = f"{URL}/otlp/v1/traces"


def exporter(key=KEY):
    headers = {"authorization": f"Bearer {key}"}
    return OTLPSpanExporter(endpoint=ENDPOINT, headers=headers, compression=Compression.Gzip, timeout=20)


def message(role, text):
    """A message as the current conventions write it."""
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def add_span(tracer, name, attributes, evaluation=None, error=None):
    """A span that took one and a half seconds."""
    end_ns = time.time_ns()
    span = tracer.start_span(name, attributes=attributes, start_time=end_ns - SECOND_NS * 3 // 2)
    if evaluation:
        span.add_event("gen_ai.evaluation.result", evaluation, timestamp=end_ns)
    if error:
        span.set_status(Status(StatusCode.ERROR, error))
    span.end(end_ns)


def make_spans():
    """The spans that a traced application would send."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "sdk-check"}))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("sdk-check")
    add_span(
        tracer,
        "chat gpt-4o-mini",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.request.temperature": 0.5,
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            "gen_ai.conversation.id": f"current-{RUN}",
            "gen_ai.input.messages": json.dumps([message("system", "Be kind."), message("user", f"weather? {RUN}")]),
            "gen_ai.output.messages": json.dumps([{**message("assistant", "rain"), "finish_reason": "stop"}]),
            "gen_ai.usage.input_tokens": 52,
            "gen_ai.usage.output_tokens": 9,
        },
        evaluation={
            "gen_ai.evaluation.name": "relevance",
            "gen_ai.evaluation.score.value": 0.9,
            "gen_ai.evaluation.score.label": "relevant",
            "gen_ai.evaluation.explanation": "It is about the weather.",
        },
    )
    add_span(
        tracer,
        "openai.chat",
        {
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-3.5-turbo",
            "gen_ai.prompt": json.dumps([{"role": "user", "content": f"a joke? {RUN}"}]),
            "gen_ai.completion": json.dumps([{"role": "assistant", "content": "knock, knock"}]),
            "gen_ai.usage.prompt_tokens": 24,
            "gen_ai.usage.completion_tokens": 11,
        },
    )
    add_span(
        tracer,
        "ChatCompletion",
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o",
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": "Count well.",
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.content": f"23 times 87? {RUN}",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "2001",
            "llm.token_count.prompt": 29,
            "llm.token_count.completion": 2,
            "session.id": f"openinference-{RUN}",
            "user.id": "u44",
        },
    )
    failed = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.input.messages": json.dumps([message("user", f"too long? {RUN}")]),
        "error.type": "timeout",
    }
    add_span(tracer, "chat gpt-4o-mini", failed, error="no answer")
    add_span(tracer, "GET /orders", {"http.request.method": "GET", "note": RUN})
    provider.shutdown()
    return kept.get_finished_spans()


SPANS = make_spans()


def hone(path, **query):
    """JSON of one of Hone's own routes."""
    url = f"{URL}{path}?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


def interactions():
    """The records of this run, by their question."""
    items = hone("/v1/interactions", task="otlp", limit=50)["items"]
    of_run = [item for item in items if item["input"].endswith(RUN)]
    return {item["input"].removesuffix(f" {RUN}"): item for item in of_run}


def export():
    result = exporter().export(SPANS)
    assert result is SpanExportResult.SUCCESS, result


def only_model_calls_are_recorded():
    assert sorted(interactions()) == ["23 times 87?", "a joke?", "too long?", "weather?"], interactions()
    assert all(item["input"] for item in hone("/v1/interactions", task="otlp", limit=50)["items"])


def current_conventions():
    found = interactions()["weather?"]
    assert (found["output"], found["model"]) == ("rain", "openai/gpt-4o-mini-2024-07-18"), found
    assert (found["tokens_input"], found["tokens_output"]) == (52, 9), found
    assert (found["source"], found["status"]) == ("model", "ok"), found
    assert abs(found["latency_ms"] - 1_500) < 1, found
    roles = [message["role"] for message in found["request"]["messages"]]
    assert (roles, found["request"]["temperature"]) == (["system", "user"], 0.5), found
    of_conversation = hone("/v1/interactions", conversation=f"current-{RUN}")["items"]
    assert [item["id"] for item in of_conversation] == [found["id"]], of_conversation


def evaluation():
    found = hone(f"/v1/interactions/{interactions()['weather?']['id']}")["feedback"]
    assert len(found) == 1, found
    assert (found[0]["kind"], found[0]["name"], found[0]["value"]) == ("score", "relevance", 0.9), found
    assert "It is about the weather." in found[0]["text"], found
    assert found[0]["source"] == "automated", found


def older_names():
    found = interactions()["a joke?"]
    assert (found["output"], found["model"]) == ("knock, knock", "openai/gpt-3.5-turbo"), found
    assert (found["tokens_input"], found["tokens_output"]) == (24, 11), found
    assert "conversation_id" not in found, found


def openinference():
    found = interactions()["23 times 87?"]
    assert (found["output"], found["model"]) == ("2001", "gpt-4o"), found
    assert (found["tokens_input"], found["tokens_output"]) == (29, 2), found
    assert found["subject_id"], found
    of_conversation = hone("/v1/interactions", conversation=f"openinference-{RUN}")["items"]
    assert [item["id"] for item in of_conversation] == [found["id"]], of_conversation


def a_failed_call():
    found = interactions()["too long?"]
    assert (found["status"], found["error"]) == ("error", "timeout"), found
    assert "output" not in found, found


def spans_that_come_again_change_nothing():
    before = interactions()
    export()
    assert interactions() == before
    assert len(hone(f"/v1/interactions/{before['weather?']['id']}")["feedback"]) == 1


def a_wrong_key():
    assert exporter("hone_wrong").export(SPANS) is SpanExportResult.FAILURE


CHECKS = [
    export,
    only_model_calls_are_recorded,
    current_conventions,
    evaluation,
    older_names,
    openinference,
    a_failed_call,
    spans_that_come_again_change_nothing,
    a_wrong_key,
]

if __name__ == "__main__":
    for check in CHECKS:
        check()
        print(f"ok {check.__name__}", flush=True)
