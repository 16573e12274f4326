import assert from "node:assert/strict";
import { test } from "node:test";

import { legendText, seriesKey } from "../../static/js/labels.js";

/** @param {Record<string, string>[]} all */
function legends(all, template = "") {
  return all.map((labels) => legendText(template, labels, all));
}

test("labels that look like parts of the language are only text", () => {
  const labels = { job: "<b>x</b>" };
  assert.equal(legendText("{{job}} {{constructor}} {{__proto__}} {{toString}}", labels), "<b>x</b>");
  assert.deepEqual(legends([{ constructor: "a" }, { job: "b" }]), ["constructor=a", "job=b"]);
});

test("a template names labels, and what a series lacks leaves no hole", () => {
  const labels = { cpu: "0", mode: "user", __name__: "node_cpu_seconds_total" };
  assert.equal(legendText("{{cpu}} {{mode}}", labels), "0 user");
  assert.equal(legendText("CPU {{ cpu }} {{nothing}} ({{mode}})", labels), "CPU 0 (user)");
  assert.equal(legendText("{{__name__}}", labels), "node_cpu_seconds_total");
  assert.equal(legendText("{{nothing}}", labels), "node_cpu_seconds_total");
  assert.equal(legendText("{{mode", labels), "{{mode");
  assert.equal(legendText("{{mode}}", { mode: "{{cpu}}", cpu: "1" }), "{{cpu}}");
});

test("without a template the labels that differ are shown", () => {
  assert.deepEqual(legends([{ device: "eth0", host: "a" }, { device: "lo", host: "a" }]), ["eth0", "lo"]);
  assert.deepEqual(legends([{ cpu: "0" }, { cpu: "1" }]), ["cpu=0", "cpu=1"]);
  assert.deepEqual(
    legends([{ cpu: "0", mode: "user" }, { cpu: "1", mode: "idle" }]),
    ["cpu=0 mode=user", "cpu=1 mode=idle"],
  );
  assert.deepEqual(legends([{ __name__: "a" }, { __name__: "b" }]), ["a", "b"]);
  assert.deepEqual(legends([{ __name__: "a", x: "1" }, { __name__: "b", x: "2" }]), ["a x=1", "b x=2"]);
});

test("one series, or series that do not differ, carry the metric's name", () => {
  assert.deepEqual(legends([{ __name__: "up", job: "a" }]), ["up"]);
  assert.deepEqual(legends([{}]), ["value"]);
  assert.deepEqual(legends([{ region: "eu" }]), ["eu"]);
  assert.deepEqual(legends([{ region: "" }]), ["value"]);
  assert.deepEqual(legends([{ job: "a" }, { job: "a" }]), ["a", "a"]);
});

test("a series without the label that tells the others apart is still called something", () => {
  assert.deepEqual(legends([{ __name__: "m", job: "a" }, { __name__: "m" }]), ["a", "m"]);
});

test("a list of series that grows is looked at again", () => {
  const all = [{ job: "a", host: "x" }];
  assert.equal(legendText("", all[0], all), "job=a host=x");
  all.push({ job: "b", host: "x" });
  assert.equal(legendText("", all[0], all), "a");
});

test("the order of labels does not make another series", () => {
  assert.equal(seriesKey({ a: "1", b: "2" }), seriesKey({ b: "2", a: "1" }));
  assert.notEqual(seriesKey({ a: "1", b: "2" }), seriesKey({ a: "1,b:2" }));
});
