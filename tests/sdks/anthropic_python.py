"""Anthropic's Python SDK against Hone. Needs HONE_URL, HONE_KEY (scopes record, predict, read) and the task `impatient`."""

import asyncio
import json
import os
import time
import urllib.error
import urllib.request

import anthropic

URL = os.environ["HONE_URL"]
KEY = os.environ["HONE_KEY"]
MODEL = "anthropic/claude-sonnet-4-5"
TOOLS = [
    {
        "name": "find_parcel",
        "description": "Finds a parcel",
        "input_schema": {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
    }
]
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

# The SDK repeats nothing by itself here, so that what is seen is what Hone does.
settings = {"base_url": f"{URL}/anthropic", "max_retries": 0, "timeout": 20}
client = anthropic.Anthropic(api_key=KEY, **settings)


def asked(content, **fields):
    """The fields of a request with one message of the user."""
    return {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": content}], **fields}


def ask(content, **fields):
    return client.messages.create(**asked(content, **fields))


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


def message():
    reply = ask("good morning")
    assert reply.content[0].text == "echo: good morning", reply
    assert reply.stop_reason == "end_turn", reply
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (12, 5), reply


def message_with_a_bearer_token():
    by_token = anthropic.Anthropic(auth_token=KEY, **settings)
    assert by_token.messages.create(**asked("good morning")).content[0].text == "echo: good morning"


def message_streamed():
    events = list(ask("good morning to you", stream=True))
    deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert "".join(deltas) == "echo: good morning to you", deltas
    assert events[-1].type == "message_stop", events[-1]


def message_streamed_by_the_helper():
    with client.messages.stream(**asked("good morning to you")) as stream:
        text = "".join(stream.text_stream)
        reply = stream.get_final_message()
    assert text == reply.content[0].text == "echo: good morning to you", reply
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (12, 5), reply


def pieces_arrive_as_they_are_sent():
    times = [time.monotonic() for _ in ask("one two three four", stream=True, model="anthropic/slow-stream")]
    assert times[-1] - times[0] > 0.8, "the stream was held back"


def tools():
    reply = ask("where is parcel 7?", model="anthropic/tools", tools=TOOLS)
    use = reply.content[0]
    assert (reply.stop_reason, use.name, use.input) == ("tool_use", "find_parcel", {"number": 7}), reply
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "in Ghent"}
    messages = [
        {"role": "user", "content": "where is parcel 7?"},
        {"role": "assistant", "content": reply.content},
        {"role": "user", "content": [result, {"type": "text", "text": "so?"}]},
    ]
    reply = client.messages.create(model=MODEL, max_tokens=100, messages=messages, tools=TOOLS)
    assert reply.content[0].text == "echo: so?", reply


def tools_streamed():
    with client.messages.stream(**asked("where is parcel 7?", model="anthropic/tools", tools=TOOLS)) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        reply = stream.get_final_message()
    assert json.loads("".join(pieces)) == {"number": 7}, pieces
    assert (reply.stop_reason, reply.content[0].input) == ("tool_use", {"number": 7}), reply


def pictures():
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    parts = [{"type": "image", "source": source}, {"type": "text", "text": "what is this?"}]
    raw = client.messages.with_raw_response.create(**asked(parts))
    assert raw.parse().content[0].text == "echo: what is this?"
    kept = recorded(raw.headers["x-hone-interaction-id"])
    assert kept["request"]["messages"][0]["content"] == parts, kept
    assert kept["input"] == "what is this?", kept


def system_prompt_and_thinking_pass_through():
    fields = {
        "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    raw = client.messages.with_raw_response.create(**asked("good morning", **fields, max_tokens=2000))
    request = recorded(raw.headers["x-hone-interaction-id"])["request"]
    assert {name: request[name] for name in fields} == fields, request


def metadata():
    conversation = f"anthropic-{time.time_ns()}"
    told = {"user_id": "u1", "hone_conversation": conversation}
    raw = client.messages.with_raw_response.create(**asked("good morning", metadata=told))
    kept = recorded(raw.headers["x-hone-interaction-id"])
    assert kept["request"]["metadata"] == {"user_id": "u1"}, "what is Hone's does not reach the provider"
    assert kept["subject_id"], kept
    listed = hone(f"/v1/interactions?conversation={conversation}")[1]["items"]
    assert [item["id"] for item in listed] == [kept["id"]], listed


def interaction_id_and_feedback():
    raw = client.messages.with_raw_response.create(**asked("hello"))
    interaction_id = raw.headers["x-hone-interaction-id"]
    assert raw.parse().content[0].text == "echo: hello"
    status, _ = hone("/v1/feedback", {"interaction_id": interaction_id, "kind": "thumb", "up": True})
    assert status == 201, status
    feedback = recorded(interaction_id)["feedback"]
    assert [(item["kind"], item["value"]) for item in feedback] == [("thumb", 1)], feedback


def interaction_id_in_the_last_event():
    raw = client.messages.with_raw_response.create(**asked("hello", stream=True))
    in_events = [event.model_extra.get("hone_interaction_id") for event in raw.parse()]
    assert in_events[-1] == raw.headers["x-hone-interaction-id"], in_events
    assert in_events[:-1] == [None] * (len(in_events) - 1), in_events


def a_refusal_of_the_provider():
    error = raised(anthropic.BadRequestError, lambda: ask("x", model="anthropic/refusing"))
    assert error.status_code == 400 and "stand-in says" in error.message, error


def a_failing_provider():
    error = raised(anthropic.InternalServerError, lambda: ask("x", model="anthropic/failing"))
    assert error.status_code == 500, error


def an_answer_that_is_no_json():
    error = raised(anthropic.InternalServerError, lambda: ask("x", model="anthropic/broken-json"))
    assert error.status_code == 502 and error.body["error"]["code"] == "bad_reply", error


def a_rate_limit():
    for stream in [False, True]:
        error = raised(
            anthropic.RateLimitError, lambda stream=stream: ask("x", model="anthropic/rate-limited", stream=stream)
        )
        assert error.status_code == 429 and error.response.headers["retry-after"] == "30", error


def a_wrong_key():
    stranger = anthropic.Anthropic(api_key="hone_wrong", **settings)
    error = raised(anthropic.AuthenticationError, lambda: stranger.messages.create(**asked("x")))
    assert error.body["error"]["type"] == "authentication_error", error


def an_unknown_task():
    error = raised(anthropic.NotFoundError, lambda: ask("x", model="task:none"))
    assert error.status_code == 404 and 'task "none"' in error.body["error"]["message"], error


def a_model_of_another_protocol():
    error = raised(anthropic.BadRequestError, lambda: ask("x", model="openai/gpt-4o-mini"))
    assert "does not answer messages" in error.body["error"]["message"], error


def hone_repeats():
    # Only the first request of a stand-in's life fails; whoever makes it, nobody notices.
    assert ask("good morning", model="anthropic/failing-once").content[0].text == "echo: good morning"


def timeout_of_the_sdk():
    hasty = client.with_options(timeout=0.5).messages
    raised(anthropic.APITimeoutError, lambda: hasty.create(**asked("x", model="anthropic/silent")))


def a_stream_that_is_cut():
    texts = []

    def listen():
        for event in ask("one two three four five", stream=True, model="anthropic/cut"):
            if event.type == "content_block_delta":
                texts.append(event.delta.text)

    error = raised(anthropic.APIStatusError, listen)
    assert "broke off" in error.body["error"]["message"], error
    assert "".join(texts).startswith("echo: one"), texts


def asynchronous_stream():
    async def listen():
        async with anthropic.AsyncAnthropic(api_key=KEY, **settings) as client:
            async with client.messages.stream(**asked("good morning")) as stream:
                return "".join([text async for text in stream.text_stream])

    assert asyncio.run(listen()) == "echo: good morning"


CHECKS = [
    message,
    message_with_a_bearer_token,
    message_streamed,
    message_streamed_by_the_helper,
    pieces_arrive_as_they_are_sent,
    tools,
    tools_streamed,
    pictures,
    system_prompt_and_thinking_pass_through,
    metadata,
    interaction_id_and_feedback,
    interaction_id_in_the_last_event,
    a_refusal_of_the_provider,
    a_failing_provider,
    an_answer_that_is_no_json,
    a_rate_limit,
    a_wrong_key,
    an_unknown_task,
    a_model_of_another_protocol,
    hone_repeats,
    timeout_of_the_sdk,
    a_stream_that_is_cut,
    asynchronous_stream,
]

if __name__ == "__main__":
    for check in CHECKS:
        check()
        print(f"ok {check.__name__}", flush=True)
