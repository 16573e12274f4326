// An annotation where there is no socket: a request of its own, which any process can answer.

import { BROKEN_OFF, ask, endingOf } from "./fallbackhttp.js";

const WITHIN_MS = 30_000;

/**
 * @param {import("./fallbackhttp.js").Way} way
 * @param {{ref: string}} frame
 * @returns {Promise<object>} the server's frame, or an error frame that says it was not reached
 */
export async function annotate(way, frame) {
  let ending = BROKEN_OFF;
  try {
    const response = await ask(way, "annotate", frame, AbortSignal.timeout(WITHIN_MS));
    if (response.ok) return (await response.json())[0];
    ending = await endingOf(response);
  } catch {
    // Said below.
  }
  const message = ending.reason || "the server was not reached: send it again";
  return { type: "error", code: "internal", message, ref: frame.ref };
}
