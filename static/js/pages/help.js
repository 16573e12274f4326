// The sheet of keys.

import { h } from "../panels/dom.js";

/** @type {[string[], string]} */
const ANNOTATE = [["A"], "Annotate the focused chart"];
/** @type {[string[], string][]} */
const KEYS = [
  [["L", "Esc"], "Back to live"],
  [["P"], "Pause, and go on"],
  [["K"], "Only the panels, for a wall display"],
  [["←", "→"], "Move the cursor of the focused chart"],
  [["Shift", "←", "→"], "To the event before, or after it"],
  [["+", "−"], "Zoom the focused chart in and out"],
  ANNOTATE,
  [["I"], "The frames of the live connection"],
  [["?"], "This sheet"],
];
const CLICK = "Ctrl (or Cmd) and a click annotates a moment.";
const MOUSE = "Drag over a chart to zoom all panels to that span; double click goes back to live.";

const dialog = h("dialog", { class: "sheet", "aria-labelledby": "keys-title" });

/** @param {boolean} mayAnnotate */
export function showHelp(mayAnnotate) {
  if (dialog.childElementCount === 0) build(mayAnnotate);
  dialog.showModal();
}

/** @param {boolean} mayAnnotate */
function build(mayAnnotate) {
  const close = h("button", { type: "button", class: "button", text: "Close" });
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  const rows = KEYS.filter((row) => mayAnnotate || row !== ANNOTATE).flatMap(([keys, what]) => [
    h("dt", {}, ...keys.map((key) => h("kbd", { text: key }))),
    h("dd", { text: what }),
  ]);
  dialog.append(
    h("h1", { id: "keys-title", text: "Keys" }),
    h("dl", { class: "keys" }, ...rows),
    h("p", { class: "muted", text: mayAnnotate ? `${MOUSE} ${CLICK}` : MOUSE }),
    h("div", { class: "actions" }, close),
  );
  document.body.append(dialog);
}
