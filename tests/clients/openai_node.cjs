// OpenAI's own client for Node before a gateway.
"use strict";

const OpenAI = require("openai");
const { run } = require("./told.cjs");

const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = ["weather", "time"].map((name) => ({ type: "function", function: { name, description: "looks", parameters: city } }));
const answer = {
  type: "object",
  properties: { name: { type: "string" }, number: { type: "integer" } },
  required: ["name", "number"],
  additionalProperties: false,
};
const pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=";
const asked = (content = "one two three") => [{ role: "user", content }];
const create = (client, more) => client.chat.completions.create({ model: "echo", messages: asked(), ...more });

async function joined(stream) {
  const texts = [];
  let usages = 0;
  for await (const chunk of stream) {
    for (const choice of chunk.choices) texts[choice.index] = (texts[choice.index] ?? "") + (choice.delta.content ?? "");
    if (chunk.usage) usages += 1;
  }
  return { texts, usages };
}

async function loop(client, model) {
  const messages = asked("weather");
  const called = [];
  for (let round = 0; round < 5; round += 1) {
    const said = (await create(client, { model, messages, tools })).choices[0].message;
    if (!said.tool_calls?.length) return { called, said: said.content };
    messages.push(said);
    for (const call of said.tool_calls) {
      called.push([call.function.name, JSON.parse(call.function.arguments).city]);
      messages.push({ role: "tool", tool_call_id: call.id, content: `${call.function.name} is fine` });
    }
  }
  return "no end";
}

const scenarios = {
  async plain(client) {
    const { data, response } = await create(client, {}).withResponse();
    return {
      text: data.choices[0].message.content,
      tokens: data.usage.completion_tokens,
      is_priced: Number(response.headers.get("x-wflo-cost-usd")) > 0,
    };
  },
  stream: async (client) => joined(await create(client, { stream: true })),
  stream_with_usage: async (client) => joined(await create(client, { stream: true, stream_options: { include_usage: true } })),
  tool_loop: (client) => loop(client, "openai/echo-tool"),
  parallel_tools: (client) => loop(client, "openai/echo-tools"),
  async streamed_tools(client) {
    const final = await client.chat.completions.stream({ model: "openai/echo-tools", messages: asked(), tools }).finalChatCompletion();
    return [final.choices[0].finish_reason, final.choices[0].message.tool_calls.map((call) => call.function.name)];
  },
  async two_choices(client) {
    const whole = await create(client, { n: 2 });
    const streamed = await joined(await create(client, { n: 2, stream: true }));
    return { whole: whole.choices.map((choice) => choice.message.content), streamed: streamed.texts };
  },
  async json(client) {
    const model = "openai/echo-json";
    const loose = await create(client, { model, messages: asked("a b"), response_format: { type: "json_object" } });
    const schema = { type: "json_schema", json_schema: { name: "answer", strict: true, schema: answer } };
    const strict = await client.chat.completions.parse({ model, messages: asked(), response_format: schema });
    return { loose: JSON.parse(loose.choices[0].message.content), strict: JSON.parse(strict.choices[0].message.content) };
  },
  async vision(client) {
    const parts = [{ type: "text", text: "what is it" }, { type: "image_url", image_url: { url: pixel } }];
    return (await create(client, { messages: asked(parts) })).choices[0].message.content;
  },
  async embeddings(client) {
    const made = await client.embeddings.create({ model: "echo", input: ["one two", "three"] });
    return { vectors: made.data.map((one) => Array.from(one.embedding)), tokens: made.usage.total_tokens };
  },
  async models(client) {
    const names = [];
    for await (const one of client.models.list()) names.push(one.id);
    return { echo: names.includes("echo"), others: names.includes("secret-group"), one: (await client.models.retrieve("echo")).id };
  },
  async responses(client) {
    const first = await client.responses.create({ model: "echo", input: "one two three" });
    const second = await client.responses.create({ model: "echo", input: "and", previous_response_id: first.id });
    const kept = await client.responses.retrieve(first.id);
    await client.responses.delete(first.id);
    return { text: first.output_text, grew: second.usage.input_tokens > first.usage.total_tokens, kept: kept.id === first.id };
  },
  async streamed_responses(client) {
    const stream = client.responses.stream({ model: "openai/echo-think", input: "one two three" });
    let text = "";
    for await (const event of stream) if (event.type === "response.output_text.delta") text += event.delta;
    const final = await stream.finalResponse();
    return { text, final: final.output_text, thought: final.usage.output_tokens_details.reasoning_tokens };
  },
  async abort(client) {
    const stream = await create(client, { model: "echo-long-drip", stream: true, max_tokens: 400 });
    const got = [];
    for await (const chunk of stream) {
      got.push(chunk.choices[0].delta.content);
      if (got.length === 3) break;
    }
    return got;
  },
  wrong_key: (client) => create(client.withOptions({ apiKey: "nonsense" }), {}),
  wrong_model: (client) => create(client, { model: "nothing" }),
  wrong_field: (client) => create(client, { max_tokens: 0 }),
  broken_stream: async (client) => joined(await create(client, { model: "echo-cut", messages: asked("a b c d e"), stream: true })),
  broke: (client) => create(client, {}),
  provider_down: (client) => create(client, { model: "openai/echo-fail503" }),
};

run(scenarios, (url, apiKey) => new OpenAI({ baseURL: `${url}/v1`, apiKey }));
