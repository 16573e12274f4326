// Questions to the server by HTTP, and what a refusal means in the words of a socket.

/**
 * @typedef {{code: number, reason: string}} Ending as a socket's close has them
 *
 * @typedef {object} Way where and as whom to ask
 * @property {string} url of the socket, such as wss://host/live/
 * @property {string} [token] to read with where there is no session
 * @property {import("./environment.js").Environment} env
 */

/** The connection ended, and nobody said why. @type {Readonly<Ending>} */
export const BROKEN_OFF = Object.freeze({ code: 1006, reason: "" });

/**
 * @param {Way} way
 * @param {string} path of the address beside the socket's, such as "poll"
 * @param {unknown} question
 * @param {AbortSignal} signal
 * @returns {Promise<Response>}
 */
export function ask({ url, token, env }, path, question, signal) {
  return env.fetch(new URL(path, url.replace(/^ws/, "http")).href, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      // No page of another site can send this header with the reader's cookie.
      "X-Pulseboard": "live",
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(question),
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
    signal,
  });
}

/**
 * @param {Response} response that is not what was asked for
 * @returns {Promise<Ending>} the server's own word, or 1006 for that of somebody on the way
 */
export async function endingOf(response) {
  try {
    const { code, error } = await response.json();
    if (typeof code === "number") return { code, reason: String(error) };
  } catch {
    // Not ours: a proxy's page, say.
  }
  return BROKEN_OFF;
}

/** Server-sent events out of the pieces in which they arrive. */
export class EventReader {
  #text = "";
  /** So far the text is known to hold no end of an event. */
  #searched = 0;

  /**
   * @param {string} piece
   * @returns {{kind: string, data: string}[]} the events that are complete now
   */
  read(piece) {
    this.#text += piece;
    const events = [];
    for (;;) {
      const end = this.#text.indexOf("\n\n", this.#searched);
      if (end < 0) break;
      const event = { kind: "message", data: "" };
      for (const line of this.#text.slice(0, end).split("\n")) {
        if (line.startsWith("event: ")) event.kind = line.slice(7);
        else if (line.startsWith("data: ")) event.data += line.slice(6);
      }
      events.push(event);
      this.#text = this.#text.slice(end + 2);
      this.#searched = 0;
    }
    this.#searched = Math.max(0, this.#text.length - 1);
    return events;
  }
}
