// Building elements. Text goes in as text only, so a hostile name stays a name.

/** @typedef {string | number | boolean | null | undefined} AttributeValue */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, AttributeValue>} [attributes] `text` sets the text; true writes an empty
 *   attribute, false, null and undefined none
 * @param {...(Node | null)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

/**
 * @param {string} tag
 * @param {Record<string, AttributeValue>} [attributes]
 * @param {...Node} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/**
 * @param {Element} element
 * @param {Record<string, AttributeValue>} attributes
 */
function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = String(value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
}

/**
 * Writes only what changed, so that an idle panel costs no layout.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * @param {string} id
 * @returns {HTMLElement}
 * @throws {Error} when the template has no such element
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`The page has no element with the id "${id}".`);
  return element;
}

/** Strokes on a 16 by 16 field. @type {Record<string, string[]>} */
const ICONS = {
  more: ["M3.5 8h.01", "M8 8h.01", "M12.5 8h.01"],
  pause: ["M6 4v8", "M10 4v8"],
  play: ["M5.5 3.75 12 8l-6.5 4.25z"],
  clock: ["M8 2.25a5.75 5.75 0 1 0 0 11.5a5.75 5.75 0 0 0 0-11.5z", "M8 4.75V8l2.25 1.5"],
  chevron: ["m4.5 6.25 3.5 3.5 3.5-3.5"],
  alert: ["M8 5.25v3.25", "M8 10.9v.1", "M8 2.25a5.75 5.75 0 1 0 0 11.5a5.75 5.75 0 0 0 0-11.5z"],
  empty: ["M2.5 12.5h11", "M4 10l2.5-2.75 2 1.75 3.5-4.5"],
  flag: ["M3.75 14V2.5", "M3.75 3h8l-2 2.75 2 2.75h-8"],
  table: ["M2.5 3.25h11v9.5h-11z", "M2.5 6.5h11", "M2.5 9.6h11", "M6.5 6.5v6.25"],
  chart: ["M2.5 2.75v10.5h11", "M5 9.75l2.5-3 2 1.5 3.5-4.25"],
  copy: ["M5.75 5.75h7.5v7.5h-7.5z", "M3.25 10.25v-7h7"],
  keyboard: ["M1.75 4.25h12.5v7.5H1.75z", "M4.25 6.75h.01", "M7 6.75h.01", "M9.5 6.75h.01", "M12 6.75h.01", "M5 9.5h6"],
};

/**
 * @param {string} name of ICONS
 * @returns {SVGElement}
 */
export function icon(name) {
  const strokes = (ICONS[name] ?? []).map((d) => svg("path", { d }));
  const kind = name === "chevron" ? "icon chevron" : "icon";
  return svg("svg", { class: kind, viewBox: "0 0 16 16", "aria-hidden": "true" }, ...strokes);
}
