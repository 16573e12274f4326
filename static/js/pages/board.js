// A page of panels: one connection, one span of time, one painting loop.

import { LiveClient } from "../live/client.js";
import { sharedByTabs } from "../live/tabs.js";
import { createPanel } from "../panels/create.js";
import { byId, h, icon } from "../panels/dom.js";
import { EventFeed } from "../panels/eventfeed.js";
import { PaintLoop } from "../panels/loop.js";
import { Palette } from "../panels/palette.js";
import { TimeView } from "../panels/timeview.js";
import { mountStatusLight } from "../statuslight.js";
import { formatRange, parseRange } from "../timerange.js";
import { AnnotateDialog } from "./annotate.js";
import { showHelp } from "./help.js";
import { toggleInspector } from "./inspectordoor.js";
import { listen } from "./keys.js";
import { readPage } from "./page.js";
import { mountPresence } from "./presence.js";
import { TimeControl } from "./timecontrol.js";

/** Values are shown as stale when the connection has been away for so long. */
const STALE_AFTER_MS = 5_000;

export function startBoard() {
  const page = readPage();
  const client = new LiveClient({ path: page.live_path, environment: sharedByTabs(page.live_tabs) });
  const now = () => client.serverNow();
  const view = new TimeView(parseRange(location.search, page.default_range_ms), page.default_range_ms);
  const loop = new PaintLoop(now);
  const palette = new Palette();
  const announcer = byId("announce");
  const grid = byId("panels");
  const announce = (/** @type {string} */ sentence) => {
    announcer.textContent = sentence;
  };
  const events = new EventFeed();
  const dialog = page.may_annotate ? new AnnotateDialog(client, announce) : null;
  const context = {
    client,
    view,
    loop,
    palette,
    events,
    annotate: dialog && ((/** @type {number} */ timeMs) => dialog.open(timeMs)),
    announce,
  };
  const panels = page.panels.map((spec) => createPanel(spec, context));
  grid.replaceChildren(...panels.map(({ element }) => element));
  for (const panel of panels) panel.start();
  events.start(client);

  palette.addEventListener("change", () => loop.all());
  view.addEventListener("change", () => {
    history.replaceState(null, "", formatRange(view.range));
    loop.all();
  });
  showStaleness(grid, client);
  mountStatusLight(byId("status"), client, () => toggleInspector(client));
  const presence = document.getElementById("presence");
  if (presence !== null) mountPresence(presence, client);
  const control = new TimeControl(byId("time"), view, now);
  const help = () => showHelp(page.may_annotate);
  byId("time").append(helpButton(help));
  listen({
    live: () => {
      if (!view.following) view.follow();
    },
    pause: () => control.toggle(),
    help,
    inspect: () => toggleInspector(client),
    kiosk: () => document.documentElement.toggleAttribute("data-kiosk"),
  });
}

/** @param {() => void} showHelp */
function helpButton(showHelp) {
  const button = h("button", {
    type: "button",
    class: "button button-quiet button-icon help-button",
    "aria-label": "Keys",
    title: "Keys (?)",
  });
  button.append(icon("keyboard"));
  button.addEventListener("click", showHelp);
  return button;
}

/**
 * @param {HTMLElement} grid
 * @param {LiveClient} client
 */
function showStaleness(grid, client) {
  let timer = 0;
  client.addEventListener("status", () => {
    clearTimeout(timer);
    if (client.status.state === "live") {
      grid.dataset.stale = "false";
      return;
    }
    timer = setTimeout(() => {
      grid.dataset.stale = "true";
    }, STALE_AFTER_MS);
  });
}
