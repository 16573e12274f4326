// Annotations where there is no socket: a request of their own, whichever way the frames come.

import assert from "node:assert/strict";
import { test } from "node:test";

import { annotate } from "../../static/js/live/fallbackannotate.js";
import { PollSocket } from "../../static/js/live/fallbackpoll.js";
import { StreamSocket } from "../../static/js/live/fallbackstream.js";
import { World } from "./world.js";

const FRAME = { type: "annotate", ref: "r1", title: "deployed", text: "", time: 1 };
const STORED = { type: "stored", ref: "r1" };

/** @param {() => Promise<Response>} answer */
function way(answer) {
  /** @type {{url: string, init: RequestInit}[]} */
  const asked = [];
  const fetch = (/** @type {string} */ url, /** @type {RequestInit} */ init) => {
    asked.push({ url, init });
    return url.endsWith("annotate") ? answer() : new Promise(() => {});
  };
  const env = { ...new World().environment, fetch };
  return { asked, way: { url: "wss://host/live/", env: /** @type {any} */ (env) } };
}

/** @param {unknown} body @param {number} [status] */
const says = (body, status = 200) => async () => new Response(JSON.stringify(body), { status });

test("a server that refuses, and one that is not reached, end in a sentence with the ref", async () => {
  const refused = way(says({ code: 4429, error: "too many" }, 429));
  assert.deepEqual(await annotate(refused.way, FRAME), {
    type: "error", code: "internal", message: "too many", ref: "r1",
  });
  for (const answer of [() => Promise.reject(new TypeError("no")), says("a proxy's page", 502)]) {
    const frame = /** @type {any} */ (await annotate(way(answer).way, FRAME));
    assert.deepEqual([frame.type, frame.ref], ["error", "r1"]);
    assert.match(frame.message, /not reached/);
  }
});

for (const Kind of [PollSocket, StreamSocket]) {
  test(`${Kind.name} asks once, with our header, and hands the answer on`, async () => {
    const { asked, way: own } = way(says([STORED]));
    const socket = new Kind(own);
    /** @type {any} */
    const heard = await new Promise((resolve) => {
      socket.onmessage = ({ data }) => resolve(JSON.parse(data));
      socket.send(JSON.stringify(FRAME));
    });
    assert.deepEqual(heard, STORED);
    const [request, ...more] = asked.filter(({ url }) => url === "https://host/live/annotate");
    assert.deepEqual(more, []);
    assert.deepEqual(JSON.parse(String(request.init.body)), FRAME);
    assert.equal(new Headers(request.init.headers).get("X-Pulseboard"), "live");
  });
}
