// The light that says, in words, whether the page is live.

import { h, setText } from "./panels/dom.js";
import { clock } from "./panels/times.js";

/** @typedef {import("./live/client.js").LiveClient} LiveClient */
/** @typedef {import("./live/client.js").Status} Status */

/** A connection that comes back sooner is not worth telling since when it was lost. */
const SAY_SINCE_AFTER_MS = 4_000;
const RENEW_MS = 1_000;
const MERGED =
  "This page, or its network, is slower than its updates: several arrive merged into one. " +
  "The newest values are shown.";

/**
 * @param {Pick<Status, "state" | "since" | "via" | "slow">} status
 * @param {number} nowMs by this device's clock
 * @returns {string} "Live", "Reconnecting", "Offline since 14:02:11", ...
 */
export function statusWords({ state, since, via, slow }, nowMs) {
  if (state === "live" && slow === "merged") return "Slow: updates are being merged";
  if (state === "live" && slow === "closed") return "Live again: this page was too slow";
  if (state === "reconnecting" && slow === "closed") return "Too slow: reconnecting";
  if (state === "live") return via === undefined ? "Live" : `Live (over ${via})`;
  if (state === "connecting") return "Connecting";
  if (state === "signed-out") return "Signed out";
  if (state === "offline") return `Offline since ${clock(since)}`;
  return nowMs - since > SAY_SINCE_AFTER_MS ? `Reconnecting since ${clock(since)}` : "Reconnecting";
}

/**
 * @param {number} bytes
 * @returns {string}
 */
function sizeWords(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

/**
 * @param {LiveClient} client
 * @param {number} nowMs by this device's clock
 * @returns {[string, string][]}
 */
export function statusFacts(client, nowMs) {
  const { framesIn, bytesIn, reconnects, lastFrameMs } = client.stats;
  const offsetMs = Math.round(client.serverNow() - nowMs);
  const ageMs = lastFrameMs === null ? null : Math.max(0, nowMs - lastFrameMs);
  return [
    ["Newest frame", ageMs === null ? "none yet" : `${(ageMs / 1000).toFixed(1)} s ago`],
    ["Frames received", framesIn.toLocaleString("en")],
    ["Bytes received", sizeWords(bytesIn)],
    ["Reconnects", String(reconnects)],
    ["Server clock", `${offsetMs >= 0 ? "+" : "−"}${Math.abs(offsetMs)} ms`],
  ];
}

/**
 * @param {HTMLElement} slot
 * @param {LiveClient} client
 * @param {() => void} inspect shows the frames of the connection
 */
export function mountStatusLight(slot, client, inspect) {
  const words = h("span", { class: "status-words", role: "status" });
  const light = h("summary", { class: "status" }, h("span", { class: "status-dot" }), words);
  const detail = h("p", { class: "menu-head" });
  const facts = h("dl", { class: "facts" });
  const signIn = h("a", { class: "menu-item", text: "Sign in again", href: signInAddress() });
  const retry = h("button", { type: "button", class: "menu-item", text: "Try again now" });
  const look = h("button", { type: "button", class: "menu-item", text: "Inspect frames" });
  const menu = h("details", { class: "menu" }, light);
  menu.append(h("div", { class: "menu-pop" }, detail, facts, signIn, retry, look));
  slot.replaceChildren(menu);

  const renew = () => {
    const { status } = client;
    light.dataset.state = status.state;
    light.toggleAttribute("data-slow", status.slow !== undefined);
    setText(words, statusWords(status, Date.now()));
    if (!menu.open) return;
    setText(detail, detailWords(status));
    signIn.hidden = status.state !== "signed-out";
    retry.hidden = status.state !== "offline" && status.state !== "reconnecting";
    facts.replaceChildren(
      ...statusFacts(client, Date.now()).flatMap(([name, value]) => [
        h("dt", { text: name }),
        h("dd", { text: value }),
      ]),
    );
  };
  client.addEventListener("status", renew);
  menu.addEventListener("toggle", renew);
  retry.addEventListener("click", () => client.reconnect());
  look.addEventListener("click", () => {
    menu.open = false;
    inspect();
  });
  setInterval(() => {
    if (!document.hidden) renew();
  }, RENEW_MS);
  renew();
}

/** @param {Status} status */
function detailWords({ state, since, detail, slow }) {
  if (state === "live" && slow === "merged") return MERGED;
  return state === "live" ? `Live since ${clock(since)}` : detail;
}

function signInAddress() {
  return `/signin/?next=${encodeURIComponent(location.pathname + location.search)}`;
}
