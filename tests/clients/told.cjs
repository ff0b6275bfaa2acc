// As told.py, for Node: node SCRIPT URL KEY [NAME...]; NODE_PATH says where the clients are.
"use strict";

async function seen(scenario, client) {
  try {
    return await scenario(client);
  } catch (error) {
    const inner = error.error?.error ?? error.error ?? {};
    return { raised: error.constructor.name, status: error.status ?? null, code: error.code ?? inner.code ?? null };
  }
}

async function run(scenarios, makeClient) {
  const [url, key, ...names] = process.argv.slice(2);
  const client = makeClient(url, key);
  const told = {};
  for (const name of names.length ? names : Object.keys(scenarios)) told[name] = await seen(scenarios[name], client);
  console.log(JSON.stringify(told));
}

module.exports = { run };
