// OpenAI's SDK for Node against Hone. Needs HONE_URL, HONE_KEY (scopes record, predict, read) and the task `impatient`.

import assert from "node:assert/strict";

import OpenAI from "openai";

const HONE = process.env.HONE_URL;
const KEY = process.env.HONE_KEY;
const MODEL = "openai/gpt-4o-mini";
const FIND_PARCEL = {
  name: "find_parcel",
  description: "Finds a parcel",
  parameters: { type: "object", properties: { number: { type: "integer" } }, required: ["number"] },
};
const TOOLS = [{ type: "function", function: FIND_PARCEL }];
const PICTURE =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

// The SDK repeats nothing by itself here, so that what is seen is what Hone does.
const settings = { baseURL: `${HONE}/openai/v1`, apiKey: KEY, maxRetries: 0, timeout: 20_000 };
const client = new OpenAI(settings);

/** One request with one message of the user. */
function ask(text, fields = {}, options = {}) {
  return client.chat.completions.create(
    { model: MODEL, messages: [{ role: "user", content: text }], ...fields },
    options,
  );
}

/** Every chunk of a streamed answer. */
async function chunksOf(text, fields = {}) {
  const chunks = [];
  for await (const chunk of await ask(text, { stream: true, ...fields })) chunks.push(chunk);
  return chunks;
}

/** The error of this class that `act` rejects with. */
async function raised(expected, act) {
  try {
    await act();
  } catch (error) {
    assert.ok(error instanceof expected, `${expected.name} expected, came ${error?.constructor?.name}: ${error}`);
    // Five failures in a row make Hone leave a provider alone for ten seconds; an answer starts the count anew.
    await ask("an answer");
    return error;
  }
  throw new assert.AssertionError({ message: `no ${expected.name} was raised` });
}

/** Status and JSON of one of Hone's own routes. */
async function hone(path, body) {
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
  const response = await fetch(HONE + path, {
    headers,
    method: body ? "POST" : "GET",
    body: body && JSON.stringify(body),
  });
  return [response.status, await response.json()];
}

/** The record of a request; records that nobody awaits are written a moment after the answer. */
async function recorded(interactionId) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const [status, record] = await hone(`/v1/interactions/${interactionId}`);
    if (status === 200) return record;
    assert.ok(status === 404 && Date.now() < deadline, `${interactionId}: ${status}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

async function chat() {
  const reply = await ask("good morning");
  assert.equal(reply.choices[0].message.content, "echo: good morning");
  assert.equal(reply.choices[0].finish_reason, "stop");
  assert.equal(reply.usage.total_tokens, 17);
  assert.deepEqual(reply.x_unknown, { kept: [1, 2.5] });
}

async function chat_streamed() {
  const chunks = await chunksOf("good morning to you");
  const text = chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("");
  assert.equal(text, "echo: good morning to you");
  assert.ok(chunks.every((chunk) => !chunk.usage), "nobody asked for the usage");
}

async function chat_streamed_with_usage() {
  const chunks = await chunksOf("good morning", { stream_options: { include_usage: true } });
  const usages = chunks.map((chunk) => chunk.usage).filter(Boolean);
  assert.deepEqual(usages.map((usage) => usage.total_tokens), [17]);
}

async function chat_streamed_by_the_helper() {
  const messages = [{ role: "user", content: "good morning" }];
  const stream = client.chat.completions.stream({ model: MODEL, messages });
  let text = "";
  stream.on("content", (piece) => (text += piece));
  assert.equal(await stream.finalContent(), "echo: good morning");
  assert.equal(text, "echo: good morning");
}

async function pieces_arrive_as_they_are_sent() {
  const times = [];
  const stream = await ask("one two three four", { stream: true, model: "openai/slow-stream" });
  for await (const _ of stream) times.push(Date.now());
  assert.ok(times.at(-1) - times[0] > 800, "the stream was held back");
}

async function a_stream_that_is_left_early_is_recorded() {
  const asked = ask("one two three four five six", { stream: true, model: "openai/slow-stream" });
  const { data, response } = await asked.withResponse();
  for await (const chunk of data) if (chunk.choices[0].delta.content) break;
  const kept = await recorded(response.headers.get("x-hone-interaction-id"));
  assert.ok(kept.output.startsWith("echo:") && !kept.output.includes("six"), kept.output);
}

async function tools() {
  const reply = await ask("where is parcel 7?", { model: "openai/tools", tools: TOOLS });
  const call = reply.choices[0].message.tool_calls[0];
  assert.equal(call.function.name, "find_parcel");
  assert.deepEqual(JSON.parse(call.function.arguments), { number: 7 });
}

async function tools_streamed() {
  const chunks = await chunksOf("where is parcel 7?", { model: "openai/tools", tools: TOOLS });
  const calls = chunks.flatMap((chunk) => chunk.choices[0].delta.tool_calls ?? []);
  assert.deepEqual(JSON.parse(calls.map((call) => call.function.arguments ?? "").join("")), { number: 7 });
  assert.equal(chunks.at(-1).choices[0].finish_reason, "tool_calls");
}

async function structured_output() {
  const schema = {
    type: "object",
    properties: { number: { type: "integer" }, city: { type: "string" } },
    required: ["number", "city"],
    additionalProperties: false,
  };
  const reply = await client.chat.completions.parse({
    model: MODEL,
    messages: [{ role: "user", content: 'answer exactly: {"number": 7, "city": "Ghent"}' }],
    response_format: { type: "json_schema", json_schema: { name: "parcel", strict: true, schema } },
  });
  assert.deepEqual(reply.choices[0].message.parsed, { number: 7, city: "Ghent" });
}

async function pictures() {
  const parts = [
    { type: "text", text: "what is this?" },
    { type: "image_url", image_url: { url: PICTURE } },
  ];
  const asked = client.chat.completions.create({ model: MODEL, messages: [{ role: "user", content: parts }] });
  const { data, response } = await asked.withResponse();
  assert.equal(data.choices[0].message.content, "echo: what is this?");
  const kept = await recorded(response.headers.get("x-hone-interaction-id"));
  assert.deepEqual(kept.request.messages[0].content, parts);
}

async function responses() {
  const reply = await client.responses.create({ model: MODEL, input: "good morning" });
  assert.equal(reply.output_text, "echo: good morning");
  assert.equal(reply.usage.total_tokens, 17);
}

async function responses_streamed() {
  const events = [];
  const asked = { model: MODEL, input: "good morning to you", stream: true };
  for await (const event of await client.responses.create(asked)) events.push(event);
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  assert.equal(deltas.map((event) => event.delta).join(""), "echo: good morning to you");
  const last = events.at(-1);
  assert.equal(last.type, "response.completed");
  assert.equal((await recorded(last.hone_interaction_id)).output, "echo: good morning to you");
}

async function embeddings() {
  // Without a format the SDK asks for base64, which the stand-in does not speak.
  const asked = { model: "openai/text-embedding-3-small", input: "good morning", encoding_format: "float" };
  const reply = await client.embeddings.create(asked);
  assert.deepEqual(reply.data[0].embedding, [0.25, -0.5, 0.75]);
}

async function models() {
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  assert.ok(listed.includes(MODEL) && listed.includes("task:impatient"), `${listed}`);
  // This SDK writes the slash as %2F.
  assert.equal((await client.models.retrieve(MODEL)).owned_by, "openai");
  await raised(OpenAI.NotFoundError, () => client.models.retrieve("openai/no-such-model"));
}

async function metadata() {
  const conversation = `node-${Date.now()}-${process.pid}`;
  const asked = ask("good morning", { metadata: { hone_conversation: conversation, team: "post" } });
  const { response } = await asked.withResponse();
  const kept = await recorded(response.headers.get("x-hone-interaction-id"));
  assert.deepEqual(kept.request.metadata, { team: "post" }, "what is Hone's does not reach the provider");
  const [, list] = await hone(`/v1/interactions?conversation=${conversation}`);
  assert.deepEqual(list.items.map((item) => item.id), [kept.id]);
}

async function interaction_id_and_feedback() {
  const { data, response } = await ask("hello").withResponse();
  assert.equal(data.choices[0].message.content, "echo: hello");
  const interactionId = response.headers.get("x-hone-interaction-id");
  const [status] = await hone("/v1/feedback", { interaction_id: interactionId, kind: "thumb", up: true });
  assert.equal(status, 201);
  const kept = await recorded(interactionId);
  assert.deepEqual(kept.feedback.map((item) => [item.kind, item.value]), [["thumb", 1]]);
}

async function interaction_id_in_the_last_chunk() {
  const { data, response } = await ask("hello", { stream: true }).withResponse();
  let last;
  for await (const chunk of data) last = chunk;
  assert.equal(last.hone_interaction_id, response.headers.get("x-hone-interaction-id"));
}

async function a_refusal_of_the_provider() {
  const error = await raised(OpenAI.BadRequestError, () => ask("x", { model: "openai/refusing" }));
  assert.deepEqual([error.status, error.type, error.requestID], [400, "invalid_request_error", "req-1"]);
  assert.match(error.message, /stand-in says/);
}

async function a_failing_provider() {
  const error = await raised(OpenAI.InternalServerError, () => ask("x", { model: "openai/failing" }));
  assert.deepEqual([error.status, error.type], [500, "server_error"]);
}

async function an_answer_that_is_no_json() {
  for (const model of ["openai/broken-json", "openai/page"]) {
    const error = await raised(OpenAI.InternalServerError, () => ask("x", { model }));
    assert.deepEqual([error.status, error.code], [502, "bad_reply"]);
  }
}

async function a_rate_limit() {
  for (const stream of [false, true]) {
    const error = await raised(OpenAI.RateLimitError, () => ask("x", { model: "openai/rate-limited", stream }));
    assert.equal(error.headers.get("retry-after"), "30");
  }
}

async function a_wrong_key() {
  const stranger = new OpenAI({ ...settings, apiKey: "hone_wrong" });
  const error = await raised(OpenAI.AuthenticationError, () => stranger.models.list());
  assert.deepEqual([error.status, error.code], [401, "invalid_api_key"]);
}

async function an_unknown_task() {
  const error = await raised(OpenAI.NotFoundError, () => ask("x", { model: "task:none" }));
  assert.match(error.message, /task "none"/);
}

async function hone_repeats() {
  // Only the first request of a stand-in's life fails; whoever makes it, nobody notices.
  const reply = await ask("good morning", { model: "openai/failing-once" });
  assert.equal(reply.choices[0].message.content, "echo: good morning");
}

async function timeout_of_the_sdk() {
  const act = () => ask("x", { model: "openai/silent" }, { timeout: 500 });
  await raised(OpenAI.APIConnectionTimeoutError, act);
}

async function timeout_of_hone() {
  const error = await raised(OpenAI.InternalServerError, () => ask("x", { model: "task:impatient" }));
  assert.deepEqual([error.status, error.code], [504, "timeout"]);
}

async function a_stream_that_is_cut() {
  let text = "";
  const error = await raised(OpenAI.APIError, async () => {
    const stream = await ask("one two three four five", { stream: true, model: "openai/cut" });
    for await (const chunk of stream) text += chunk.choices[0].delta.content ?? "";
  });
  assert.match(error.message, /broke off/);
  assert.equal(error.code, "bad_reply");
  assert.ok(text.startsWith("echo: one"), text);
}

async function a_response_that_is_cut() {
  const error = await raised(OpenAI.APIError, async () => {
    const asked = { model: "openai/cut", input: "one two three four", stream: true };
    for await (const _ of await client.responses.create(asked));
  });
  assert.match(error.message, /broke off/);
}

const CHECKS = [
  chat,
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
  metadata,
  interaction_id_and_feedback,
  interaction_id_in_the_last_chunk,
  a_refusal_of_the_provider,
  a_failing_provider,
  an_answer_that_is_no_json,
  a_rate_limit,
  a_wrong_key,
  an_unknown_task,
  hone_repeats,
  timeout_of_the_sdk,
  timeout_of_hone,
  a_stream_that_is_cut,
  a_response_that_is_cut,
];

for (const check of CHECKS) {
  await check();
  console.log(`ok ${check.name}`);
}
