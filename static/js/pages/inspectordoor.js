// The way to the frame inspector. The inspector itself is loaded when it is first opened.

import { byId } from "../panels/dom.js";

/** @type {Promise<import("./inspector.js").Inspector> | null} */
let loading = null;

/** @param {import("../live/client.js").LiveClient} client */
export async function toggleInspector(client) {
  loading ??= import("./inspector.js").then(
    ({ Inspector }) => new Inspector(byId("inspector"), client),
  );
  try {
    (await loading).toggle();
  } catch (error) {
    loading = null;
    console.warn("The frame inspector could not be loaded: try again when the server answers", error);
  }
}
