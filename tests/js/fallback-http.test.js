// Server-sent events and long polling in the shape of a WebSocket.

import assert from "node:assert/strict";
import { test } from "node:test";

import { EventReader } from "../../static/js/live/fallbackhttp.js";
import { PollSocket } from "../../static/js/live/fallbackpoll.js";
import { StreamSocket } from "../../static/js/live/fallbackstream.js";
import { CLOSE } from "../../static/js/protocol.js";
import { snapshot, update } from "./viewer.js";
import { START_MS, World } from "./world.js";

const WATCH = { type: "watch", id: 1, expr: "up", range_ms: 60_000, step_ms: 1000, cursor: null };
const WELCOME = { type: "welcome", version: 1, server_ms: START_MS };
const BEAT = { type: "heartbeat", server_ms: START_MS };

/** A request of the page, for the test to answer. */
class Asked {
  /** @type {(response: Response) => void} */
  #answer = () => {};
  /** @type {ReadableStreamDefaultController<Uint8Array> | null} */
  #stream = null;

  /** @param {string} url @param {RequestInit} init */
  constructor(url, init) {
    this.path = new URL(url).pathname;
    this.headers = new Headers(init.headers);
    this.body = JSON.parse(String(init.body));
    this.signal = /** @type {AbortSignal} */ (init.signal);
    /** @type {Promise<Response>} */
    this.response = new Promise((resolve, reject) => {
      this.#answer = resolve;
      this.fail = () => reject(new TypeError("Failed to fetch"));
      this.signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    });
  }

  fail() {}

  /** @param {unknown} body @param {number} [status] */
  async answers(body, status = 200) {
    this.#answer(new Response(typeof body === "string" ? body : JSON.stringify(body), { status }));
    await settled();
  }

  /** Begins a stream. @param {string} name */
  async streams(name) {
    const body = new ReadableStream({ start: (stream) => void (this.#stream = stream) });
    this.#answer(new Response(body));
    await this.event({ path: `/live/events/${name}` }, "stream");
    await this.event(WELCOME);
  }

  /** @param {unknown} data @param {string} [kind] */
  async event(data, kind) {
    const head = kind === undefined ? "" : `event: ${kind}\n`;
    const text = `${head}data: ${JSON.stringify(data)}\n\n`;
    this.#stream?.enqueue(new TextEncoder().encode(text));
    await settled();
  }

  async breaks() {
    this.#stream?.error(new TypeError("network error"));
    await settled();
  }
}

/** Lets every promise come to its end. */
async function settled() {
  for (let i = 0; i < 50; i += 1) await Promise.resolve();
  await new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve(undefined);
    };
    port2.postMessage(null);
  });
}

/** @param {typeof StreamSocket | typeof PollSocket} Kind @param {string} [token] */
async function opened(Kind, token) {
  const world = new World();
  /** @type {Asked[]} */
  const asked = [];
  const fetch = (/** @type {string} */ url, /** @type {RequestInit} */ init) => {
    asked.push(new Asked(url, init));
    return asked[asked.length - 1].response;
  };
  const socket = new Kind({ url: "wss://host/live/", token, env: { ...world.environment, fetch } });
  /** @type {any[]} */
  const heard = [];
  /** @type {{code: number, reason: string}[]} */
  const closed = [];
  socket.onopen = () => heard.push("open");
  socket.onmessage = ({ data }) => heard.push(JSON.parse(data));
  socket.onclose = (event) => closed.push(event);
  await settled();
  const last = () => asked[asked.length - 1];
  const say = async (/** @type {object[]} */ ...frames) => {
    for (const frame of frames) socket.send(JSON.stringify(frame));
    world.pass(0);
    await settled();
  };
  return { world, socket, asked, heard, closed, last, say };
}

async function streaming() {
  const page = await opened(StreamSocket);
  await page.last().streams("one");
  return page;
}

async function polling() {
  const page = await opened(PollSocket);
  await page.last().answers([WELCOME, BEAT]);
  return page;
}

test("events are read wherever their pieces are cut", () => {
  const text = 'event: stream\ndata: {"a":1}\n\ndata: {"b":"x: y"}\n\ndata: {}\n\n';
  const whole = new EventReader().read(text);
  assert.deepEqual(whole[0], { kind: "stream", data: '{"a":1}' });
  assert.deepEqual(whole[1], { kind: "message", data: '{"b":"x: y"}' });
  for (let size = 1; size < text.length; size += 1) {
    const reader = new EventReader();
    const events = [];
    for (let at = 0; at < text.length; at += size) events.push(...reader.read(text.slice(at, at + size)));
    assert.deepEqual(events, whole, `pieces of ${size}`);
  }
});

for (const Kind of [StreamSocket, PollSocket]) {
  test(`${Kind.name}: a refusal closes it with the server's code and sentence`, async () => {
    const { last, closed, heard } = await opened(Kind);
    await last().answers({ error: "sign in", code: CLOSE.UNAUTHENTICATED }, 401);
    assert.deepEqual(closed, [{ code: 4401, reason: "sign in" }]);
    assert.deepEqual(heard, []);
  });

  test(`${Kind.name}: what somebody on the way says is only a broken connection`, async () => {
    for (const [body, status] of /** @type {const} */ ([["<h1>Bad gateway</h1>", 502], ["{}", 403]])) {
      const { last, closed } = await opened(Kind);
      await last().answers(body, status);
      assert.deepEqual(closed, [{ code: 1006, reason: "" }]);
    }
    const { last, closed } = await opened(Kind);
    last().fail();
    await settled();
    assert.equal(closed[0].code, 1006);
  });

  test(`${Kind.name}: a token goes into a header and never into a frame`, async () => {
    const { last, asked, say } = await opened(Kind, "pb_secret");
    assert.equal(last().headers.get("Authorization"), "Bearer pb_secret");
    await say({ type: "hello", token: "pb_secret" });
    assert.ok(asked.every(({ body }) => !JSON.stringify(body).includes("pb_secret")));
  });

  test(`${Kind.name}: closed by the page it says nothing more`, async () => {
    const { socket, last, closed } = await opened(Kind);
    socket.close(1000, "done");
    await settled();
    assert.equal(last().signal.aborted, true);
    assert.deepEqual(closed, []);
  });
}

test("a stream is open when its first frame has come through", async () => {
  const { last, heard } = await opened(StreamSocket);
  assert.deepEqual(heard, []);
  assert.equal(last().headers.get("X-Pulseboard"), "live");
  await last().streams("one");
  assert.deepEqual(heard, ["open", WELCOME]);
});

test("what is asked for together goes up a stream together", async () => {
  const { last, say, heard } = await streaming();
  const stream = last();
  await say(WATCH, { ...WATCH, id: 2 });
  assert.deepEqual([last().path, last().body], ["/live/events/one", [WATCH, { ...WATCH, id: 2 }]]);
  await stream.event(snapshot(1, [START_MS], [1]));
  assert.equal(heard[2].type, "snapshot");
});

test("a stream in another process is opened anew with everything at its cursor", async () => {
  const { asked, last, say, heard, closed } = await streaming();
  await say(WATCH);
  await last().answers([]);
  await asked[0].event(snapshot(1, [START_MS], [1], "e1:4"));
  await asked[0].event(update(1, [START_MS + 1000], [2], "e1:5"));
  await say({ ...WATCH, id: 2 });
  await last().answers({ error: "no such stream", code: CLOSE.NOT_FOUND }, 404);
  assert.equal(asked[0].signal.aborted, true);
  assert.equal(last().path, "/live/events");
  assert.deepEqual(last().body.watches, [{ ...WATCH, cursor: "e1:5" }, { ...WATCH, id: 2 }]);
  await last().streams("two");
  assert.deepEqual(heard.filter((frame) => frame.type === "welcome").length, 1);
  await say({ type: "unwatch", id: 2 });
  assert.equal(last().path, "/live/events/two");
  assert.deepEqual(closed, []);
});

test("a site whose processes never have the stream is watched all the same", async () => {
  const { last, say, closed } = await streaming();
  for (let id = 1; id <= 10; id += 1) {
    await say({ ...WATCH, id });
    await last().answers({ error: "no such stream", code: CLOSE.NOT_FOUND }, 404);
    assert.equal(last().body.watches.length, id);
    await last().streams(`again-${id}`);
  }
  assert.deepEqual(closed, []);
});

test("a stream ends with the code of its last event, or else as broken", async () => {
  const told = await streaming();
  await told.last().event({ code: 4401, reason: "signed out" }, "close");
  assert.deepEqual(told.closed, [{ code: 4401, reason: "signed out" }]);
  const broken = await streaming();
  await broken.last().breaks();
  assert.deepEqual(broken.closed, [{ code: 1006, reason: "" }]);
});

test("polls carry every watch with its newest cursor", async () => {
  const { last, say, heard } = await polling();
  assert.deepEqual(heard, ["open", WELCOME, BEAT]);
  await say(WATCH, { type: "watch_events", id: 2, limit: 10, cursor: null });
  await last().answers([snapshot(1, [START_MS], [1], "e1:4"), BEAT]);
  assert.deepEqual(last().body.watches, [
    { ...WATCH, cursor: "e1:4" },
    { type: "watch_events", id: 2, limit: 10, cursor: null },
  ]);
  assert.equal(heard[3].type, "snapshot");
});

test("another watch does not wait for the poll under way", async () => {
  const { asked, last, say } = await polling();
  await say(WATCH);
  const waiting = last();
  await say({ ...WATCH, id: 2 });
  assert.equal(waiting.signal.aborted, true);
  assert.deepEqual(last().body.watches.length, 2);
  assert.equal(asked.length, 3);
});

test("what is answered, refused or unwatched is not asked for again", async () => {
  const { last, say } = await polling();
  await say({ ...WATCH, end_ms: START_MS }, { ...WATCH, id: 2 }, { ...WATCH, id: 3 }, { ...WATCH, id: 4 });
  await say({ type: "unwatch", id: 3 });
  const error = { type: "error", code: "bad_expression", message: "no", id: 2 };
  await last().answers([snapshot(1, [START_MS], [1], ""), error, BEAT]);
  assert.deepEqual(last().body.watches.map((/** @type {any} */ watch) => watch.id), [4]);
});

test("while a poll waits the page still hears every two seconds that the server is there", async () => {
  const { world, last, say, heard } = await polling();
  await say(WATCH);
  world.pass(2_000);
  await settled();
  assert.deepEqual(last().body.watches, []);
  await last().answers([WELCOME, BEAT]);
  assert.deepEqual(heard.slice(2), [BEAT, BEAT]);
  world.pass(2_000);
  await settled();
  last().fail();
  await settled();
});

test("a goodbye among the frames ends the polling with its code", async () => {
  const { last, say, closed, heard, asked } = await polling();
  await say(WATCH);
  await last().answers([{ type: "bye", code: 1012, reason: "restarting", retry_ms: [5, 9] }, BEAT]);
  assert.equal(heard[3].type, "bye");
  assert.deepEqual(closed, [{ code: 1012, reason: "restarting" }]);
  assert.equal(asked.length, 2);
});
