// The sheet of keys.

import { h } from "../panels/dom.js";

/** @type {[string[], string][]} */
const KEYS = [
  [["L", "Esc"], "Back to live"],
  [["P"], "Pause, and go on"],
  [["K"], "Only the panels, for a wall display"],
  [["←", "→"], "Move the cursor of the focused chart"],
  [["+", "−"], "Zoom the focused chart in and out"],
  [["I"], "The frames of the live connection"],
  [["?"], "This sheet"],
];
const MOUSE = "Drag over a chart to zoom all panels to that span; double click goes back to live.";

const dialog = h("dialog", { class: "sheet", "aria-labelledby": "keys-title" });

export function showHelp() {
  if (dialog.childElementCount === 0) build();
  dialog.showModal();
}

function build() {
  const close = h("button", { type: "button", class: "button", text: "Close" });
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  const rows = KEYS.flatMap(([keys, what]) => [
    h("dt", {}, ...keys.map((key) => h("kbd", { text: key }))),
    h("dd", { text: what }),
  ]);
  dialog.append(
    h("h1", { id: "keys-title", text: "Keys" }),
    h("dl", { class: "keys" }, ...rows),
    h("p", { class: "muted", text: MOUSE }),
    h("div", { class: "actions" }, close),
  );
  document.body.append(dialog);
}
