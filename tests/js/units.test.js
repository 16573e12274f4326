import assert from "node:assert/strict";
import { test } from "node:test";

import { axisFormatter, axisIncrements, formatValue } from "../../static/js/units.js";
import { seeded } from "./world.js";

/** @type {[number | null | undefined, string, string][]} */
const AS_PEOPLE_WRITE = [
  [null, "bytes", "–"],
  [undefined, "", "–"],
  [NaN, "percent", "–"],
  [Infinity, "", "∞"],
  [-Infinity, "bytes", "-∞"],
  [0, "", "0"],
  [-0, "", "0"],
  [0, "bytes", "0 B"],
  [0, "seconds", "0 s"],
  [0, "milliseconds", "0 ms"],
  [0, "percent", "0 %"],
  [0, "per_second", "0/s"],
  [1, "", "1"],
  [1.2345, "", "1.23"],
  [42.06, "", "42.1"],
  [999.4, "", "999"],
  [999.6, "", "1 k"],
  [1200, "", "1.2 k"],
  [-1200, "", "-1.2 k"],
  [123_456, "", "123 k"],
  [999_999, "", "1 M"],
  [3.4e9, "", "3.4 G"],
  [5e20, "", "500 E"],
  [1.5e21, "", "1,500 E"],
  [2e40, "", "2e22 E"],
  [0.123456, "", "0.123"],
  [0.00123456, "", "0.00123"],
  [1.2e-7, "", "1.2e-7"],
  [-1.2e-7, "", "-1.2e-7"],
  [0.99999, "", "1"],
  [12.4 * 1024 ** 3, "bytes", "12.4 GiB"],
  [1023.9, "bytes", "1 KiB"],
  [512, "bytes", "512 B"],
  [3.4 * 1024 ** 2, "bytes_per_second", "3.4 MiB/s"],
  [-2048, "bytes", "-2 KiB"],
  [1.5e6, "bits_per_second", "1.5 Mbit/s"],
  [10, "bits_per_second", "10 bit/s"],
  [2.4e9, "hertz", "2.4 GHz"],
  [0.35, "seconds", "350 ms"],
  [350, "milliseconds", "350 ms"],
  [0.000012, "seconds", "12 µs"],
  [3.5e-8, "seconds", "35 ns"],
  [1e-12, "seconds", "1e-12 s"],
  [0.9999, "seconds", "1 s"],
  [1.5, "seconds", "1.5 s"],
  [59.94, "seconds", "59.9 s"],
  [59.99, "seconds", "1 min"],
  [125, "seconds", "2 min 5 s"],
  [3599.7, "seconds", "1 h"],
  [3900, "seconds", "1 h 5 min"],
  [2 * 86_400 + 4 * 3600 + 59, "seconds", "2 d 4 h"],
  [-125_000, "milliseconds", "-2 min 5 s"],
  [86_400 * 1234 + 7200, "seconds", "1,234 d"],
  [1e30, "seconds", "1.16e25 d"],
  [42, "percent", "42 %"],
  [42.34, "percent", "42.3 %"],
  [0.42, "ratio", "42 %"],
  [0.07, "ratio", "7 %"],
  [12_345, "percent", "12,345 %"],
  [21.55, "celsius", "21.6 °C"],
  [-3, "celsius", "-3 °C"],
  [42, "per_second", "42/s"],
  [1234, "per_second", "1.23 k/s"],
  [7, "count", "7"],
  [1234, "count", "1,234"],
  [99_999, "count", "99,999"],
  [123_456, "count", "123 k"],
  [2.5, "count", "2.5"],
  [5, "no such unit", "5"],
  [5, "constructor", "5"],
];

for (const [value, unit, text] of AS_PEOPLE_WRITE) {
  test(`${value} ${unit} reads "${text}"`, () => assert.equal(formatValue(value, unit), text));
}

test("asked for decimals are kept to", () => {
  assert.equal(formatValue(3, "", 2), "3.00");
  assert.equal(formatValue(12.4 * 1024 ** 3, "bytes", 2), "12.40 GiB");
  assert.equal(formatValue(42.34, "percent", 0), "42 %");
  assert.equal(formatValue(0.35, "seconds", 1), "350.0 ms");
  assert.equal(formatValue(-0.001, "", 2), "0.00");
  assert.equal(formatValue(0, "", 2), "0");
  assert.equal(formatValue(1.23, "", null), "1.23");
  assert.equal(formatValue(1.5, "", 99), `1.5${"0".repeat(19)}`);
});

test("no number is shown badly, whatever it is", () => {
  const random = seeded(7);
  const units = new Set(AS_PEOPLE_WRITE.map(([, unit]) => unit));
  for (let i = 0; i < 4000; i += 1) {
    const value = (random() - 0.5) * 10 ** (random() * 60 - 30);
    for (const unit of units) {
      const text = formatValue(value, unit);
      assert.match(text, /^-?\d{1,3}(,?\d{3})*(\.\d+)?(e-?\d+)?( ?[^\d\s]+)?( \d+ [a-z]+)?$/, `${value} ${unit}`);
      assert.ok(text.length <= 20, `${value} ${unit}: ${text}`);
      if (value > 0) assert.equal(formatValue(-value, unit).replace("-", ""), text);
    }
  }
});

test("an axis uses one unit and as many digits as its ticks need", () => {
  const gib = 1024 ** 3;
  assert.deepEqual(axisFormatter("bytes")([0, gib / 2, gib]), ["0", "0.5 GiB", "1.0 GiB"]);
  assert.deepEqual(axisFormatter("percent")([0, 50, 100]), ["0", "50 %", "100 %"]);
  assert.deepEqual(axisFormatter("ratio")([0, 0.25, 0.5]), ["0", "25 %", "50 %"]);
  assert.deepEqual(axisFormatter("")([0, 500, 1000, 1500]), ["0", "0.5 k", "1.0 k", "1.5 k"]);
  assert.deepEqual(axisFormatter("per_second")([0, 5, 10]), ["0", "5/s", "10/s"]);
  assert.deepEqual(axisFormatter("seconds")([0, 0.05, 0.1]), ["0", "50 ms", "100 ms"]);
  assert.deepEqual(axisFormatter("seconds")([0, 43_200, 86_400]), ["0", "0.5 d", "1.0 d"]);
  assert.deepEqual(axisFormatter("milliseconds")([0, 500, 1000]), ["0", "0.5 s", "1.0 s"]);
  assert.deepEqual(axisFormatter("")([-2, null, 2]), ["-2", "", "2"]);
  assert.deepEqual(axisFormatter("")([0, 1e-7, 2e-7]), ["0", "1e-7", "2e-7"]);
  assert.deepEqual(axisFormatter("", 2)([1, 2]), ["1.00", "2.00"]);
  assert.deepEqual(axisFormatter("bytes")([0, 0]), ["0", "0"]);
  assert.deepEqual(axisFormatter("bytes")([]), []);
  assert.deepEqual(axisFormatter("seconds")([null]), [""]);
});

test("ticks with different values never read the same", () => {
  const random = seeded(11);
  for (let i = 0; i < 2000; i += 1) {
    const increment = [1, 2, 2.5, 5][Math.floor(random() * 4)] * 10 ** Math.floor(random() * 16 - 4);
    const first = Math.floor(random() * 20 - 10);
    const ticks = Array.from({ length: 5 }, (_, n) => (first + n) * increment);
    for (const unit of ["", "bytes", "seconds", "percent", "per_second"]) {
      const texts = axisFormatter(unit)(ticks);
      assert.equal(new Set(texts).size, 5, `${unit} ${ticks}: ${texts}`);
    }
  }
});

test("axes of bytes have binary steps", () => {
  assert.ok(axisIncrements("bytes_per_second")?.includes(1024 ** 3));
  assert.equal(axisIncrements("percent"), undefined);
});
