// Broadcasting with npm's `ws`: POST / with {"frames": [...]} sends each frame to every client.
//
//     node ws_server.mjs <folder with node_modules> [corked]
//
// Each frame is encoded once, and handed over as bytes, which `ws` need not convert per client.
// Corked, all frames of one request go to a client in one write: the best that `ws` can do.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(`${process.argv[2]}/`)("ws");
const corked = process.argv[3] === "corked";

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const { frames } = JSON.parse(Buffer.concat(parts).toString());
    broadcast(frames.map((frame) => Buffer.from(JSON.stringify(frame))));
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end("{}");
  });
});
const sockets = new WebSocketServer({ server, path: "/live/", perMessageDeflate: false });
sockets.on("connection", (client) => client.send('{"type":"welcome"}'));

function broadcast(texts) {
  if (corked) {
    for (const client of sockets.clients) {
      client._socket.cork();
      for (const text of texts) client.send(text, { binary: false });
      client._socket.uncork();
    }
    return;
  }
  for (const text of texts) {
    for (const client of sockets.clients) client.send(text, { binary: false });
  }
}

server.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
