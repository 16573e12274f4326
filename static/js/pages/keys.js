// Single keys that do something on a whole page.

/** @typedef {"live" | "pause" | "help" | "kiosk" | "filter" | "inspect"} Command */

/** @type {Record<string, Command>} */
const COMMANDS = {
  l: "live",
  Escape: "live",
  p: "pause",
  "?": "help",
  k: "kiosk",
  "/": "filter",
  i: "inspect",
};

/**
 * @param {{key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean}} event
 * @param {boolean} typing the focus is where letters are written
 * @returns {Command | null}
 */
export function commandOf({ key, ctrlKey, metaKey, altKey }, typing) {
  if (typing || ctrlKey || metaKey || altKey) return null;
  return Object.hasOwn(COMMANDS, key) ? COMMANDS[key] : null;
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}

/** @param {Partial<Record<Command, () => void>>} actions */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") !== null) return;
    const command = commandOf(event, isTyping(event.target));
    const action = command === null ? undefined : actions[command];
    if (action === undefined) return;
    event.preventDefault();
    action();
  });
}
