// Who else is on this dashboard: a row of initials, and a list of names behind it.

import { h } from "../panels/dom.js";

/** @typedef {import("../protocol.js").Person} Person */

/** So many are drawn; the others are a number. */
const MOST_DRAWN = 3;
const MOST_NAMED = 3;
const COLOURS = 8;
/** What was heard last is shown for so long after the connection was lost. */
const STALE_AFTER_MS = 5_000;

/**
 * @param {string} name
 * @returns {string} at most two letters
 */
export function initials(name) {
  const words = name.split(/[\s._@+-]+/).filter((word) => word !== "");
  const letters = words.slice(0, 2).map((word) => [...word][0] ?? "");
  return letters.join("").toLocaleUpperCase() || "?";
}

/**
 * @param {string} name
 * @returns {number} 1 to 8, the same for the same name
 */
export function colourOf(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return (sum % COLOURS) + 1;
}

/**
 * @param {readonly Person[]} people
 * @param {number} more of whom the names are not known
 * @returns {string} "Ann, Bob (away) and 3 others are here too"; empty when nobody is
 */
export function sentence(people, more) {
  const named = people.slice(0, MOST_NAMED).map(({ name, kind, away }) => {
    const notes = [kind === "token" ? "a token" : "", away ? "away" : ""].filter((note) => note !== "");
    return notes.length === 0 ? name : `${name} (${notes.join(", ")})`;
  });
  const rest = people.length - named.length + more;
  if (rest > 0) named.push(rest === 1 ? "1 other" : `${rest.toLocaleString("en")} others`);
  const last = named.pop();
  if (last === undefined) return "";
  if (named.length === 0) return `${last} ${rest > 1 ? "are" : "is"} here too`;
  return `${named.join(", ")} and ${last} are here too`;
}

/**
 * @param {readonly Person[]} people
 * @param {number} others
 * @param {string} me
 * @returns {{mine: Person | undefined, theirs: Person[], more: number}} me, everybody else, and how
 *   many of them have no name here
 */
export function apart(people, others, me) {
  const isMine = (/** @type {Person} */ { name, kind }) => kind === "person" && name === me;
  const mine = people.find(isMine);
  // With very many people on it I may be one of those who are not named.
  const more = mine === undefined ? Math.max(0, others - 1) : others;
  return { mine, theirs: people.filter((person) => !isMine(person)), more };
}

/** @param {Person} person */
function avatar({ name, kind, away }) {
  const round = h("span", { class: "avatar", "aria-hidden": "true", text: initials(name) });
  round.dataset.kind = kind;
  round.toggleAttribute("data-away", away === true);
  round.style.setProperty("--avatar", `var(--series-${colourOf(name)})`);
  return round;
}

/**
 * @param {Person} person
 * @param {string} note
 */
function entry(person, note) {
  const notes = [note, person.kind === "token" ? "token" : "", person.away === true ? "away" : ""];
  const name = h("bdi", { class: "presence-name", text: person.name });
  const text = notes.filter((one) => one !== "").join(", ");
  return h("li", {}, avatar(person), name, text === "" ? null : h("span", { class: "muted", text }));
}

/**
 * @param {HTMLElement} slot with the dashboard and the reader's own name
 * @param {import("../live/client.js").LiveClient} client
 */
export function mountPresence(slot, client) {
  const me = slot.dataset.me ?? "";
  const drawn = h("span", { class: "avatars" });
  const summary = h("summary", { class: "button button-quiet presence-button" }, drawn);
  const list = h("ul", { class: "presence-list" });
  const menu = h("details", { class: "menu" }, summary);
  menu.append(h("div", { class: "menu-pop" }, h("p", { class: "menu-head", text: "On this dashboard" }), list));
  slot.replaceChildren(menu);

  /** @type {{people: Person[], others: number}} */
  let heard = { people: [], others: 0 };
  const show = () => {
    const { mine, theirs, more } = apart(heard.people, heard.others, me);
    const total = theirs.length + more;
    // Alone nobody has to be told; but what is open does not vanish under a reader's hands.
    slot.hidden = total === 0 && !menu.open;
    const words = sentence(theirs, more) || "Only you are here";
    summary.setAttribute("aria-label", words);
    summary.title = words;
    const rest = total - Math.min(theirs.length, MOST_DRAWN);
    drawn.replaceChildren(
      ...theirs.slice(0, MOST_DRAWN).map(avatar),
      ...(rest > 0 ? [h("span", { class: "avatar", "aria-hidden": "true", text: `+${rest}` })] : []),
      ...(total === 0 && mine !== undefined ? [avatar(mine)] : []),
    );
    list.replaceChildren(
      ...(mine === undefined ? [] : [entry(mine, "you")]),
      ...theirs.map((person) => entry(person, "")),
      ...(more > 0 ? [h("li", { class: "muted", text: `and ${more.toLocaleString("en")} more` })] : []),
    );
  };
  const watch = client.watchPresence(
    { board: slot.dataset.board ?? "", away: document.hidden },
    {
      onPeople: (people, others) => {
        heard = { people, others };
        show();
      },
      onError: () => forget(),
    },
  );
  const forget = () => {
    heard = { people: [], others: 0 };
    show();
  };
  menu.addEventListener("toggle", show);
  document.addEventListener("visibilitychange", () => watch.setAway(document.hidden));
  let timer = 0;
  client.addEventListener("status", () => {
    clearTimeout(timer);
    if (client.status.state !== "live") timer = setTimeout(forget, STALE_AFTER_MS);
  });
  show();
}
