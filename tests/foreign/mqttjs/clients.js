// MQTT.js against a broker that is there: `node clients.js URL…`, each URL with 5.0 and 3.1.1.
// Asserts every scenario; ends with 1 at the first that fails.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import mqtt from "mqtt";

const PATIENCE_MS = 15_000;
const LARGE = 900_000;

async function connect(url, version, options = {}) {
  const base = { protocolVersion: version, reconnectPeriod: 0, connectTimeout: PATIENCE_MS };
  const client = await mqtt.connectAsync(url, { ...base, ...options });
  client.inbox = [];
  client.on("message", (topic, payload, packet) => client.inbox.push({ topic, payload, packet }));
  return client;
}

// Waits for a condition, never for a time.
async function until(what, holds) {
  const end = Date.now() + PATIENCE_MS;
  while (!holds()) {
    assert.ok(Date.now() < end, `in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function next(client) {
  await until("a message", () => client.inbox.length > 0);
  return client.inbox.shift();
}

const scenarios = {
  async "QoS 0, 1 and 2 come back with topic, payload and level"(open, prefix) {
    const client = await open();
    for (const qos of [0, 1, 2]) {
      const topic = `${prefix}/qos${qos}`;
      await client.subscribeAsync(topic, { qos });
      await client.publishAsync(topic, `hello ${qos}`, { qos });
      const { topic: where, payload, packet } = await next(client);
      assert.deepEqual([where, payload.toString(), packet.qos], [topic, `hello ${qos}`, qos]);
    }
    await client.endAsync();
  },

  async "a retained message waits, until an empty one takes it away"(open, prefix) {
    const topic = `${prefix}/retained`;
    const client = await open();
    await client.publishAsync(topic, "kept", { qos: 1, retain: true });
    await client.subscribeAsync(topic, { qos: 1 });
    const { payload, packet } = await next(client);
    assert.deepEqual([payload.toString(), packet.retain], ["kept", true]);
    await client.unsubscribeAsync(topic);
    await client.publishAsync(topic, "", { qos: 1, retain: true });
    await client.subscribeAsync(topic, { qos: 1 });
    await client.publishAsync(topic, "live", { qos: 1 });
    const live = await next(client);
    assert.deepEqual([live.payload.toString(), live.packet.retain], ["live", false]);
    await client.endAsync();
  },

  async "a will is published for a client that vanishes"(open, prefix) {
    const topic = `${prefix}/will`;
    const watcher = await open();
    await watcher.subscribeAsync(topic, { qos: 1 });
    const dying = await open({ will: { topic, payload: Buffer.from("gone"), qos: 1, retain: false } });
    dying.on("error", () => {});
    dying.stream.destroy();
    assert.equal((await next(watcher)).payload.toString(), "gone");
    await watcher.endAsync();
  },

  async "a session keeps what came while its client was away"(open, prefix, version) {
    const topic = `${prefix}/queue`;
    const stays = { clientId: `stays-${prefix.replaceAll("/", "-")}`, clean: false };
    if (version === 5) stays.properties = { sessionExpiryInterval: 60 };
    const first = await open(stays);
    await first.subscribeAsync(topic, { qos: 1 });
    await first.endAsync();
    const other = await open();
    await other.publishAsync(topic, "waited", { qos: 1 });
    const inbox = [];
    const options = { protocolVersion: version, reconnectPeriod: 0, ...stays };
    const again = mqtt.connect(open.url, options);
    let present;
    again.on("connect", (connack) => (present = connack.sessionPresent));
    again.on("message", (_, payload) => inbox.push(payload.toString()));
    await until("what waited", () => inbox.length > 0);
    assert.deepEqual([present, inbox], [true, ["waited"]]);
    await again.endAsync();
    await other.endAsync();
  },

  async "a payload of 900,000 bytes comes back whole, at each QoS"(open, prefix) {
    const client = await open();
    const large = randomBytes(LARGE);
    for (const qos of [0, 1, 2]) {
      await client.subscribeAsync(`${prefix}/large${qos}`, { qos });
      await client.publishAsync(`${prefix}/large${qos}`, large, { qos });
      assert.ok(large.equals((await next(client)).payload), `QoS ${qos}`);
    }
    await client.endAsync();
  },

  async "properties arrive (5.0)"(open, prefix, version) {
    if (version !== 5) return;
    const client = await open();
    await client.subscribeAsync(`${prefix}/told`, { qos: 1, properties: { subscriptionIdentifier: 7 } });
    const said = {
      payloadFormatIndicator: true,
      contentType: "text/plain",
      responseTopic: "answers",
      correlationData: Buffer.from([0, 1, 2]),
      userProperties: { colour: "green" },
    };
    await client.publishAsync(`${prefix}/told`, "told", { qos: 1, properties: said });
    const { properties } = (await next(client)).packet;
    assert.deepEqual({ ...properties, userProperties: { ...properties.userProperties } },
      { ...said, subscriptionIdentifier: 7 });
    await client.endAsync();
  },

  async "a shared subscription: each message to one member (5.0)"(open, prefix, version) {
    if (version !== 5) return;
    const members = [await open(), await open()];
    for (const member of members) await member.subscribeAsync(`$share/group/${prefix}/shared`, { qos: 1 });
    const publisher = await open();
    for (let at = 0; at < 10; at++) await publisher.publishAsync(`${prefix}/shared`, `${at}`, { qos: 1 });
    await until("all ten", () => members[0].inbox.length + members[1].inbox.length >= 10);
    const all = members.flatMap((member) => member.inbox.map(({ payload }) => Number(payload)));
    assert.deepEqual(all.sort((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.ok(members.every((member) => member.inbox.length > 0), "both have a share");
    for (const client of [...members, publisher]) await client.endAsync();
  },
};

for (const url of process.argv.slice(2)) {
  for (const version of [5, 4]) {
    const transport = new URL(url).protocol.slice(0, -1);
    const name = `${transport} ${version === 5 ? "5.0" : "3.1.1"}`;
    const open = (options) => connect(url, version, options);
    open.url = url;
    for (const [what, scenario] of Object.entries(scenarios)) {
      await scenario(open, `mqttjs/${transport}/v${version}`, version).catch((error) => {
        console.error(`FAILED: MQTT.js ${name}: ${what}`);
        throw error;
      });
      if (version === 5 || !what.endsWith("(5.0)")) console.log(`ok: MQTT.js ${name}: ${what}`);
    }
  }
}
process.exit(0);
