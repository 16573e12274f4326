import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const sheet = readFileSync(new URL("../../static/css/tokens.css", import.meta.url), "utf8");

/**
 * @param {string} block of the style sheet
 * @returns {Map<string, string>} colours by name
 */
function colours(block) {
  return new Map([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map((match) => [match[1], match[2]]));
}

const [lightBlock, darkBlock, systemBlock] = sheet.split(/:root\[data-theme="dark"\]|@media \(prefers-color-scheme/);
const light = colours(lightBlock);
const chosenDark = colours(darkBlock);
const dark = new Map([...light, ...chosenDark]);

/** @param {string} colour */
function luminance(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/**
 * @param {Map<string, string>} theme
 * @param {string} a
 * @param {string} b
 * @returns {number} 1 to 21
 */
function contrast(theme, a, b) {
  const [low, high] = [a, b]
    .map((name) => luminance(theme.get(name) ?? assert.fail(`no colour ${name}`)))
    .sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

const TEXT = [
  ...["bg", "surface", "surface-2"].flatMap((under) => ["text", "text-2", "text-3"].map((ink) => [ink, under])),
  ...["accent", "warn", "bad", "chart-axis"].map((ink) => [ink, "surface"]),
  ["accent", "accent-soft"], ["text", "warn-soft"], ["text", "bad-soft"], ["on-ink", "ink"], ["on-ink", "text-2"],
];
const SHAPES = ["ok", "control-border", "series-1", "series-2", "series-3", "series-4", "series-5", "series-6",
  "series-7", "series-8"].map((shape) => [shape, "surface"]);

for (const [name, theme] of /** @type {[string, Map<string, string>][]} */ ([["light", light], ["dark", dark]])) {
  test(`in the ${name} theme everybody can read the text and tell the lines from the ground`, () => {
    for (const [ink, under] of TEXT) {
      const ratio = contrast(theme, ink, under);
      assert.ok(ratio >= 4.5, `${ink} on ${under}: ${ratio.toFixed(2)}`);
    }
    for (const [shape, under] of SHAPES) {
      const ratio = contrast(theme, shape, under);
      assert.ok(ratio >= 3, `${shape} on ${under}: ${ratio.toFixed(2)}`);
    }
  });
}

test("dark looks the same whether it was chosen or the system wishes it", () => {
  assert.ok(chosenDark.size > 20);
  assert.deepEqual(colours(systemBlock), chosenDark);
});
