// The SharedWorker that holds one socket for all tabs of a session.

import { SharedHub } from "./sharedhub.js";
import { webLocks } from "./weblocks.js";
import { wire } from "./wire.js";

const lock = `pulseboard worker ${crypto.randomUUID()}`;
const hub = new SharedHub(wire, webLocks, lock);
/** @type {Promise<void>} */
const isHeld = new Promise((resolve) => webLocks.hold(lock, resolve));

const worker = /** @type {{onconnect: (event: MessageEvent) => void}} */ (
  /** @type {unknown} */ (globalThis)
);
// A page comes once, and sends a port for each of its connections. What it says waits in its ports
// until somebody listens.
worker.onconnect = ({ ports: [page] }) =>
  void isHeld.then(() => {
    page.onmessage = ({ ports: [port] }) => hub.connect(port);
  });
