// What the server says about this page.

import { byId } from "../panels/dom.js";

/** @returns {import("../panels/types.js").PageData} */
export function readPage() {
  return JSON.parse(byId("page").textContent ?? "{}");
}
