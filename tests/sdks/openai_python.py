"""OpenAI's Python SDK against Hone. Needs HONE_URL, HONE_KEY (scopes record, predict, read) and the task `impatient`."""

import asyncio
import json
import os
import time
import urllib.error
import urllib.request

import openai
import pydantic

URL = os.environ["HONE_URL"]
KEY = os.environ["HONE_KEY"]
MODEL = "openai/gpt-4o-mini"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find_parcel",
            "description": "Finds a parcel",
            "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
        },
    }
]
PICTURE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

# The SDK repeats nothing by itself here, so that what is seen is what Hone does.
client = openai.OpenAI(base_url=f"{URL}/openai/v1", api_key=KEY, max_retries=0, timeout=20)


class Parcel(pydantic.BaseModel):
    number: int
    city: str


def ask(text, **fields):
    """One request with one message of the user."""
    fields.setdefault("model", MODEL)
    return client.chat.completions.create(messages=[{"role": "user", "content": text}], **fields)


def raised(expected, act):
    """The error of this type that `act` raises."""
    try:
        act()
    except expected as error:
        # Five failures in a row make Hone leave a provider alone for ten seconds; an answer starts the count anew.
        ask("an answer")
        return error
    raise AssertionError(f"no {expected.__name__} was raised")


def hone(path, body=None):
    """Status and JSON of one of Hone's own routes."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{URL}{path}", data, headers), timeout=20) as response:
        return response.status, json.load(response)


def recorded(interaction_id):
    """The record of a request; records that nobody awaits are written a moment after the answer."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return hone(f"/v1/interactions/{interaction_id}")[1]
        except urllib.error.HTTPError as error:
            if error.code != 404 or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def chat():
    reply = ask("good morning")
    assert reply.choices[0].message.content == "echo: good morning", reply
    assert reply.choices[0].finish_reason == "stop", reply
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (12, 5), reply
    assert reply.usage.prompt_tokens_details.cached_tokens == 2, reply


def fields_that_nobody_knows_pass_through():
    reply = ask("good morning", extra_body={"x_mine": {"kept": True}})
    assert reply.model_extra["x_unknown"] == {"kept": [1.0, 2.5]}, reply
    with_id = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": "x"}], extra_body={"x_mine": {"kept": True}}
    )
    assert recorded(with_id.headers["x-hone-interaction-id"])["request"]["x_mine"] == {"kept": True}


def chat_streamed():
    chunks = list(ask("good morning to you", stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "echo: good morning to you", text
    assert [chunk.usage for chunk in chunks if chunk.usage] == [], "nobody asked for the usage"
    assert all(chunk.choices for chunk in chunks), "a chunk without choices surprises who did not ask for the usage"


def chat_streamed_with_usage():
    chunks = list(ask("good morning", stream=True, stream_options={"include_usage": True}))
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert [usage.total_tokens for usage in usages] == [17], usages


def chat_streamed_by_the_helper():
    messages = [{"role": "user", "content": "good morning"}]
    with client.chat.completions.stream(model=MODEL, messages=messages) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        reply = stream.get_final_completion()
    assert "".join(pieces) == reply.choices[0].message.content == "echo: good morning", reply


def pieces_arrive_as_they_are_sent():
    times = [time.monotonic() for _ in ask("one two three four", stream=True, model="openai/slow-stream")]
    assert times[-1] - times[0] > 0.8, "the stream was held back"


def a_stream_that_is_left_early_is_recorded():
    stream = client.chat.completions.with_raw_response.create(
        model="openai/slow-stream", messages=[{"role": "user", "content": "one two three four five six"}], stream=True
    )
    with stream.parse() as pieces:
        for chunk in pieces:
            if chunk.choices[0].delta.content:
                break
    kept = recorded(stream.headers["x-hone-interaction-id"])
    assert kept["output"].startswith("echo:") and "six" not in kept["output"], kept


def tools():
    call = ask("where is parcel 7?", model="openai/tools", tools=TOOLS).choices[0].message.tool_calls[0]
    assert (call.id, call.function.name) == ("call_1", "find_parcel"), call
    assert json.loads(call.function.arguments) == {"number": 7}, call
    found = {"role": "tool", "tool_call_id": call.id, "content": "in Ghent"}
    messages = [
        {"role": "user", "content": "where is parcel 7?"},
        {"role": "assistant", "tool_calls": [call.model_dump()]},
        found,
    ]
    reply = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
    assert reply.choices[0].message.content == "echo: in Ghent", reply


def tools_streamed():
    arguments, name, finish = "", None, None
    for chunk in ask("where is parcel 7?", model="openai/tools", tools=TOOLS, stream=True):
        for call in chunk.choices[0].delta.tool_calls or []:
            name = call.function.name or name
            arguments += call.function.arguments or ""
        finish = chunk.choices[0].finish_reason or finish
    assert (name, json.loads(arguments), finish) == ("find_parcel", {"number": 7}, "tool_calls"), arguments


def structured_output():
    text = 'answer exactly: {"number": 7, "city": "Ghent"}'
    messages = [{"role": "user", "content": text}]
    reply = client.chat.completions.parse(model=MODEL, messages=messages, response_format=Parcel)
    assert reply.choices[0].message.parsed == Parcel(number=7, city="Ghent"), reply


def pictures():
    parts = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=[{"role": "user", "content": parts}])
    assert raw.parse().choices[0].message.content == "echo: what is this?"
    kept = recorded(raw.headers["x-hone-interaction-id"])
    assert kept["request"]["messages"][0]["content"] == parts, kept
    assert kept["input"] == "what is this?", kept


def responses():
    reply = client.responses.create(model=MODEL, input="good morning")
    assert reply.output_text == "echo: good morning", reply
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (12, 5), reply


def responses_streamed():
    events = list(client.responses.create(model=MODEL, input="good morning to you", stream=True))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == "echo: good morning to you", text
    last = events[-1]
    assert (last.type, last.response.output_text) == ("response.completed", text), last
    assert recorded(last.hone_interaction_id)["output"] == text


def embeddings():
    reply = client.embeddings.create(model="openai/text-embedding-3-small", input="good morning")
    assert list(reply.data[0].embedding) == [0.25, -0.5, 0.75], reply
    assert reply.usage.prompt_tokens == 4, reply


def models():
    listed = [model.id for model in client.models.list()]
    assert MODEL in listed and "task:impatient" in listed, listed
    assert client.models.retrieve(MODEL).owned_by == "openai"
    error = raised(openai.NotFoundError, lambda: client.models.retrieve("openai/no-such-model"))
    assert "no-such-model" in error.message, error


def a_model_without_a_provider():
    assert ask("good morning", model="gpt-4o-mini").choices[0].message.content == "echo: good morning"


def metadata():
    conversation = f"python-{time.time_ns()}"
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[{"role": "user", "content": "good morning"}],
        metadata={"hone_conversation": conversation, "team": "post"},
    )
    kept = recorded(raw.headers["x-hone-interaction-id"])
    assert kept["request"]["metadata"] == {"team": "post"}, "what is Hone's does not reach the provider"
    listed = hone(f"/v1/interactions?conversation={conversation}")[1]["items"]
    assert [item["id"] for item in listed] == [kept["id"]], listed


def headers_of_hone():
    conversation = f"python-header-{time.time_ns()}"
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[{"role": "user", "content": "good morning"}],
        extra_headers={"x-hone-conversation": conversation, "x-hone-tags": "a,b"},
    )
    kept = recorded(raw.headers["x-hone-interaction-id"])
    assert kept["tags"] == ["a", "b"] and kept["conversation_id"], kept
    assert raw.headers["x-hone-model"] == MODEL, raw.headers


def interaction_id_and_feedback():
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=[{"role": "user", "content": "hello"}])
    interaction_id = raw.headers["x-hone-interaction-id"]
    assert raw.parse().choices[0].message.content == "echo: hello"
    status, _ = hone("/v1/feedback", {"interaction_id": interaction_id, "kind": "thumb", "up": True})
    assert status == 201, status
    feedback = recorded(interaction_id)["feedback"]
    assert [(item["kind"], item["value"]) for item in feedback] == [("thumb", 1)], feedback


def interaction_id_in_the_last_chunk():
    messages = [{"role": "user", "content": "hello"}]
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=messages, stream=True)
    in_chunks = [chunk.model_extra.get("hone_interaction_id") for chunk in raw.parse()]
    assert in_chunks[-1] == raw.headers["x-hone-interaction-id"], in_chunks
    assert in_chunks[:-1] == [None] * (len(in_chunks) - 1), in_chunks


def a_refusal_of_the_provider():
    error = raised(openai.BadRequestError, lambda: ask("x", model="openai/refusing"))
    assert error.status_code == 400 and error.type == "invalid_request_error", error
    assert "stand-in says" in error.message and error.request_id == "req-1", error
    assert recorded(error.response.headers["x-hone-interaction-id"])["status"] == "error"


def a_failing_provider():
    error = raised(openai.InternalServerError, lambda: ask("x", model="openai/failing"))
    assert error.status_code == 500 and error.type == "server_error", error


def an_answer_that_is_no_json():
    for model in ["openai/broken-json", "openai/page"]:
        error = raised(openai.InternalServerError, lambda model=model: ask("x", model=model))
        assert error.status_code == 502 and error.code == "bad_reply", error


def a_rate_limit():
    error = raised(openai.RateLimitError, lambda: ask("x", model="openai/rate-limited"))
    assert error.status_code == 429 and error.response.headers["retry-after"] == "30", error


def a_failure_before_a_stream():
    error = raised(openai.RateLimitError, lambda: ask("x", model="openai/rate-limited", stream=True))
    assert error.code == "rate_limit_exceeded", error


def a_wrong_key():
    stranger = client.with_options(api_key="hone_wrong")
    error = raised(openai.AuthenticationError, stranger.models.list)
    assert error.status_code == 401 and error.code == "invalid_api_key", error
    messages = [{"role": "user", "content": "x"}]
    raised(openai.AuthenticationError, lambda: stranger.chat.completions.create(model=MODEL, messages=messages))


def an_unknown_task():
    error = raised(openai.NotFoundError, lambda: ask("x", model="task:none"))
    assert error.status_code == 404 and "task \"none\"" in error.message, error


def a_wrong_request():
    error = raised(openai.BadRequestError, lambda: ask("x", extra_headers={"x-hone-turn": "first"}))
    assert "x-hone-turn" in error.message, error


def hone_repeats():
    # Only the first request of a stand-in's life fails; whoever makes it, nobody notices.
    assert ask("good morning", model="openai/failing-once").choices[0].message.content == "echo: good morning"


def timeout_of_the_sdk():
    hasty = client.with_options(timeout=0.5).chat.completions
    messages = [{"role": "user", "content": "x"}]
    raised(openai.APITimeoutError, lambda: hasty.create(model="openai/silent", messages=messages))


def timeout_of_hone():
    for stream in [False, True]:
        error = raised(openai.InternalServerError, lambda stream=stream: ask("x", model="task:impatient", stream=stream))
        assert error.status_code == 504 and error.code == "timeout", error


def a_stream_that_is_cut():
    texts = []

    def listen():
        for chunk in ask("one two three four five", stream=True, model="openai/cut"):
            texts.append(chunk.choices[0].delta.content)

    error = raised(openai.APIError, listen)
    assert "broke off" in error.message and error.code == "bad_reply", error
    assert "".join(texts).startswith("echo: one"), texts


def a_response_that_is_cut():
    def listen():
        return list(client.responses.create(model="openai/cut", input="one two three four", stream=True))

    error = raised(openai.APIError, listen)
    assert "broke off" in error.message, error


def asynchronous_stream():
    async def listen():
        async with openai.AsyncOpenAI(base_url=f"{URL}/openai/v1", api_key=KEY, max_retries=0) as client:
            messages = [{"role": "user", "content": "good morning"}]
            stream = await client.chat.completions.create(model=MODEL, messages=messages, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert asyncio.run(listen()) == "echo: good morning"


CHECKS = [
    chat,
    fields_that_nobody_knows_pass_through,
    chat_streamed,
    chat_streamed_with_usage,
    chat_streamed_by_the_helper,
    pieces_arrive_as_they_are_sent,
    a_stream_that_is_left_early_is_recorded,
    tools,
    tools_streamed,
    structured_output,
    pictures,
    responses,
    responses_streamed,
    embeddings,
    models,
    a_model_without_a_provider,
    metadata,
    headers_of_hone,
    interaction_id_and_feedback,
    interaction_id_in_the_last_chunk,
    a_refusal_of_the_provider,
    a_failing_provider,
    an_answer_that_is_no_json,
    a_rate_limit,
    a_failure_before_a_stream,
    a_wrong_key,
    an_unknown_task,
    a_wrong_request,
    hone_repeats,
    timeout_of_the_sdk,
    timeout_of_hone,
    a_stream_that_is_cut,
    a_response_that_is_cut,
    asynchronous_stream,
]

if __name__ == "__main__":
    for check in CHECKS:
        check()
        print(f"ok {check.__name__}", flush=True)
