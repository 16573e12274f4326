// The shapes that pages and panels share; types only.

/**
 * @typedef {object} PanelSpec
 * @property {number} id
 * @property {string} title
 * @property {string} kind line, area, stat, gauge, bar, table or events
 * @property {string} expr
 * @property {string} legend
 * @property {string} unit
 * @property {number} width columns of 12
 * @property {number} height rows
 * @property {number | null} min
 * @property {number | null} max
 * @property {number | null} decimals
 * @property {boolean} stacked
 */

/**
 * @typedef {object} PageData
 * @property {string} live_path
 * @property {string} live_tabs what the tabs that may share a connection have in common; "": none may
 * @property {string} title
 * @property {boolean} needs_password
 * @property {PanelSpec[]} panels
 * @property {number} default_range_ms
 * @property {boolean} may_annotate
 */

/** @typedef {{fromMs: number, toMs: number}} TimeWindow */

/** @typedef {import("../live/store.js").SeriesStore} SeriesStore */

/**
 * What every panel is given.
 * @typedef {object} PanelContext
 * @property {import("../live/client.js").LiveClient} client
 * @property {import("./timeview.js").TimeView} view
 * @property {import("./loop.js").PaintLoop} loop
 * @property {import("./palette.js").Palette} palette
 * @property {import("./eventfeed.js").EventFeed} events
 * @property {((timeMs: number) => void) | null} annotate null: this person may not
 * @property {(sentence: string) => void} announce says it to screen readers
 */

export {};
