// Anthropic's own client for Node before a gateway.
"use strict";

const Anthropic = require("@anthropic-ai/sdk");
const { run } = require("./told.cjs");

const city = { type: "object", properties: { city: { type: "string" } } };
const tools = ["weather", "time"].map((name) => ({ name, description: "looks", input_schema: city }));
const asked = (content = "one two three") => [{ role: "user", content }];
const create = (client, more) => client.messages.create({ model: "anthropic/echo", max_tokens: 100, messages: asked(), ...more });
const textOf = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

const scenarios = {
  async plain(client) {
    const { data, response } = await create(client, {}).withResponse();
    return { text: textOf(data), tokens: data.usage.output_tokens, is_priced: Number(response.headers.get("x-wflo-cost-usd")) > 0 };
  },
  async stream(client) {
    const stream = client.messages.stream({ model: "anthropic/echo-think", max_tokens: 50, messages: asked() });
    let text = "";
    stream.on("text", (piece) => { text += piece; });
    const final = await stream.finalMessage();
    return { text, final: textOf(final), tokens: final.usage.output_tokens, blocks: final.content.map((block) => block.type) };
  },
  async parallel_tools(client) {
    const messages = asked("weather");
    const called = [];
    for (let round = 0; round < 5; round += 1) {
      const said = await create(client, { model: "anthropic/echo-tools", messages, tools });
      const calls = said.content.filter((block) => block.type === "tool_use");
      if (!calls.length) return { called, said: textOf(said) };
      for (const call of calls) called.push([call.name, call.input.city]);
      messages.push({ role: "assistant", content: said.content });
      messages.push({ role: "user", content: calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: "is fine" })) });
    }
    return "no end";
  },
  count_tokens: async (client) => (await client.messages.countTokens({ model: "anthropic/echo", messages: asked() })).input_tokens,
  models: async (client) => (await client.models.retrieve("echo")).display_name,
  wrong_key: (client) => create(client.withOptions({ apiKey: "nonsense" }), {}),
  wrong_model: (client) => create(client, { model: "nothing" }),
  broken_stream: (client) => client.messages.stream({ model: "anthropic/echo-cut", max_tokens: 50, messages: asked("a b c d e") }).finalMessage(),
  broke: (client) => create(client, {}),
  provider_down: (client) => create(client, { model: "anthropic/echo-fail503" }),
};

run(scenarios, (baseURL, apiKey) => new Anthropic({ baseURL, apiKey }));
