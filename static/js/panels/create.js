// From a panel's description to the panel.

import { BarPanel } from "./bar.js";
import { EventsPanel } from "./events.js";
import { GaugePanel } from "./gauge.js";
import { StatPanel } from "./stat.js";
import { TablePanel } from "./tablepanel.js";
import { TimeSeriesPanel } from "./timeseries.js";

/** @typedef {import("./types.js").PanelSpec} PanelSpec */
/** @typedef {import("./types.js").PanelContext} PanelContext */

/**
 * @param {PanelSpec} spec an unknown kind is drawn as lines
 * @param {PanelContext} context
 * @returns {import("./base.js").Panel}
 */
export function createPanel(spec, context) {
  switch (spec.kind) {
    case "stat":
      return new StatPanel(spec, context);
    case "gauge":
      return new GaugePanel(spec, context);
    case "bar":
      return new BarPanel(spec, context);
    case "table":
      return new TablePanel(spec, context);
    case "events":
      return new EventsPanel(spec, context);
    default:
      return new TimeSeriesPanel(spec, context);
  }
}
