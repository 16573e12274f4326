// How a time series is drawn: everything that uPlot is told.

/** @import uPlot from "../../vendor/uplot/uPlot.esm.js" */

import { axisFormatter, axisIncrements } from "../units.js";
import { isValue } from "../values.js";
import { drawBand } from "./band.js";
import { Lines } from "./lines.js";
import { DASH_PATTERNS, strokeOf } from "./palette.js";
import { steadySpan, valueSpan } from "./scale.js";
import { axisTimes } from "./times.js";

/** @typedef {import("./palette.js").Palette} Palette */
/** @typedef {import("./types.js").PanelSpec} PanelSpec */
/** @typedef {import("./scale.js").Span} Span */
/** @typedef {import("../live/store.js").Band} Band */

const SYNC_KEY = "pulseboard";
const BAND_ALPHA = 0.28;
const FONT_PX = 11;
const DRAG_AT_LEAST_PX = 6;
const AXIS_STEP_PX = 8;
const LEAST_TICK_PX = 26;
const MOST_TICKS = 6;
const RIGHT_PADDING_PX = 8;
const HALF_LETTER_PX = 3.2;
/** Distances between the ticks of a time axis that people read easily. */
const TIME_INCREMENTS_MS = [
  ...[1, 2, 5, 10, 15, 30].map((seconds) => seconds * 1000),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * 60_000),
  ...[1, 2, 3, 6, 12].map((hours) => hours * 3_600_000),
  ...[1, 2, 7, 14, 28, 91, 182, 364].map((days) => days * 86_400_000),
];
/** A plot so wide can have fewer, roomier ticks. */
const WIDE_PX = 560;

/** Seconds that people count in, once they are many. */
const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800].concat(
  [1, 2, 3, 6, 12].map((hours) => hours * 3600),
  [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000].map((days) => days * 86_400),
);
const FRACTIONS = [-9, -8, -7, -6, -5, -4, -3, -2, -1].flatMap((power) =>
  [1, 2, 5].map((digit) => Number(`${digit}e${power}`)),
);
const MOST_POINTS_WITH_DOTS = 30;

/**
 * @typedef {object} ChartWishes
 * @property {PanelSpec} spec
 * @property {Palette} palette
 * @property {number[]} slots of the series
 * @property {{width: number, height: number}} size
 * @property {() => Band | null} band what the lines passed between the steps
 * @property {() => number} stepMs values further apart than this are not joined
 * @property {(series: number) => number} ground of a stack: on which series, from 0, one lies; -1: zero
 * @property {{select: (fromMs: number, toMs: number) => void, dragging: (on: boolean) => void,
 *   back: () => void, cursor: () => void, drawn: (u: uPlot) => void}} on
 */

/** @param {PanelSpec} spec */
export function isStacked(spec) {
  return spec.stacked && (spec.kind === "area" || spec.kind === "line");
}

/** @param {PanelSpec} spec */
function isFilled(spec) {
  return spec.kind === "area" || spec.stacked;
}

/**
 * @param {ChartWishes} wishes
 * @returns {uPlot.Options}
 */
export function chartOptions({ spec, palette, slots, size, band, stepMs, ground, on }) {
  const stacked = isStacked(spec);
  const shownBand = () => (stacked ? null : band());
  const lines = new Lines({
    stepMs,
    band: shownBand,
    ground: stacked ? ground : null,
    filled: isFilled(spec),
    widthPx: stacked ? 1.25 : 1.6,
  });
  /** @type {uPlot.Series[]} */
  const series = [{}, ...slots.map((slot) => seriesOptions(spec, palette, slot, lines))];
  return {
    width: size.width,
    height: size.height,
    ms: 1,
    padding: [10, RIGHT_PADDING_PX, 0, 0],
    legend: { show: false },
    series,
    scales: {
      x: { time: true, auto: false },
      y: { range: valueRange(spec, lines) },
    },
    axes: [timeAxis(palette), valueAxis(spec, palette)],
    cursor: cursorOptions(palette, slots, on),
    select: { show: true, left: 0, top: 0, width: 0, height: 0 },
    hooks: {
      drawAxes: [(u) => drawBand(u, shownBand(), (i) => palette.fill(slots[i], BAND_ALPHA))],
      draw: [on.drawn],
      setCursor: [() => on.cursor()],
      setSelect: [(u) => selected(u, on.select)],
    },
  };
}

/**
 * @param {uPlot} u
 * @param {(fromMs: number, toMs: number) => void} select
 */
function selected(u, select) {
  const { left, width } = u.select;
  if (width < DRAG_AT_LEAST_PX) return;
  const fromMs = u.posToVal(left, "x");
  const toMs = u.posToVal(left + width, "x");
  u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  select(fromMs, toMs);
}

/**
 * @param {PanelSpec} spec
 * @param {Palette} palette
 * @param {number} slot
 * @param {Lines} lines
 * @returns {uPlot.Series}
 */
function seriesOptions(spec, palette, slot, lines) {
  const alpha = isStacked(spec) ? 0.42 : 0.13;
  return {
    stroke: () => palette.series(slot),
    fill: isFilled(spec) ? () => palette.fill(slot, alpha) : undefined,
    // The range of the axis is found in valueRange: uPlot takes NaN for a value.
    auto: false,
    paths: (u, index, first, last) => lines.paths(u, index, first, last),
    dash: DASH_PATTERNS[strokeOf(slot).dash],
    points: {
      size: 5,
      show: (u, _index, from, to) =>
        !isStacked(spec) && to - from <= MOST_POINTS_WITH_DOTS && u.width > 200,
      filter: (u, index, show, _gaps) => lines.dots(u, index, show),
    },
  };
}

/**
 * @param {PanelSpec} spec
 * @param {Lines} lines
 * @returns {(u: uPlot) => [number, number]}
 */
function valueRange(spec, lines) {
  /** @type {Span | null} */
  let before = null;
  const zero = isFilled(spec);
  return (u) => {
    const [low, high] = lines.extent(u);
    const known = low !== null && high !== null && Number.isFinite(low) && Number.isFinite(high);
    before = known
      ? steadySpan(before, valueSpan(low, high, { min: spec.min, max: spec.max, zero }))
      : (before ?? valueSpan(null, null, { min: spec.min, max: spec.max, zero }));
    return before;
  };
}

/** @param {Palette} palette */
function font(palette) {
  return `${FONT_PX}px ${palette.get("font")}`;
}

/**
 * @param {Palette} palette
 * @returns {uPlot.Axis}
 */
function timeAxis(palette) {
  return {
    stroke: () => palette.get("chart-axis"),
    font: font(palette),
    size: 26,
    gap: 6,
    space: (_u, _axis, _from, _to, width) => (width > WIDE_PX ? 92 : 62),
    incrs: TIME_INCREMENTS_MS,
    grid: { stroke: () => palette.get("chart-grid"), width: 1 },
    ticks: { show: false },
    // A label that would be cut off at the right edge appears once it has moved in.
    values: (u, splits, _axis, _space, distance) =>
      axisTimes(splits, distance).map((text, i) => {
        const room = u.bbox.width / devicePixelRatio - u.valToPos(splits[i], "x");
        return room < text.length * HALF_LETTER_PX - RIGHT_PADDING_PX ? "" : text;
      }),
  };
}

/**
 * @param {string} unit
 * @returns {number[] | undefined} distances between ticks that look round; undefined: decimal ones
 */
export function valueIncrements(unit) {
  const seconds = FRACTIONS.concat(SECONDS);
  if (unit === "seconds") return seconds;
  if (unit === "milliseconds") return seconds.map((distance) => Number((distance * 1000).toPrecision(12)));
  return axisIncrements(unit);
}

/**
 * @param {PanelSpec} spec
 * @param {Palette} palette
 * @returns {uPlot.Axis}
 */
function valueAxis(spec, palette) {
  const format = axisFormatter(spec.unit);
  let widest = 32;
  return {
    stroke: () => palette.get("chart-axis"),
    font: font(palette),
    gap: 6,
    space: (_u, _axis, _from, _to, height) => Math.max(LEAST_TICK_PX, height / MOST_TICKS),
    incrs: valueIncrements(spec.unit),
    grid: { stroke: () => palette.get("chart-grid"), width: 1 },
    ticks: { show: false },
    values: (_u, splits) => format(splits),
    // Only ever wider, in steps: the plot does not shiver when a label grows by a digit.
    size: (u, labels) => {
      if (!labels || labels.length === 0) return widest;
      u.ctx.font = `${FONT_PX * devicePixelRatio}px ${palette.get("font")}`;
      const text = Math.max(...labels.map((label) => u.ctx.measureText(label).width));
      const needed = text / devicePixelRatio + 14;
      widest = Math.max(widest, Math.ceil(needed / AXIS_STEP_PX) * AXIS_STEP_PX);
      return widest;
    },
  };
}

/**
 * @param {Palette} palette
 * @param {number[]} slots
 * @param {ChartWishes["on"]} on
 * @returns {uPlot.Cursor}
 */
function cursorOptions(palette, slots, on) {
  return {
    x: true,
    y: false,
    dataIdx: (u, series, index) => (series === 0 || isValue(u.data[series][index]) ? index : null),
    // A click is ours to judge: uPlot takes one that moved by a pixel for a drag.
    drag: { x: true, y: false, setScale: false, dist: DRAG_AT_LEAST_PX, click: () => {} },
    points: {
      size: 8,
      width: 2,
      fill: (_u, index) => palette.series(slots[index - 1] ?? 0),
      stroke: () => palette.get("surface"),
    },
    sync: {
      key: SYNC_KEY,
      setSeries: false,
      scales: ["x", null],
      // Only the crosshair is shared: a selection belongs to the chart it was drawn on.
      filters: { pub: (type) => type === "mousemove" || type === "mouseleave", sub: () => true },
    },
    bind: {
      mousedown: (_u, _target, handler) => (event) => {
        on.dragging(true);
        handler(event);
        return null;
      },
      mouseup: (_u, _target, handler) => (event) => {
        handler(event);
        on.dragging(false);
        return null;
      },
      dblclick: () => () => {
        on.back();
        return null;
      },
    },
  };
}
