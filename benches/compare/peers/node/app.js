// The peer in Node.js: Express here, better-sqlite3 in a thread of its own (store.js). README.md says why.
//
//     NODE_PATH=TARGET_FOLDER/node_modules node app.js PORT

import { timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { KEY, answer, mac } from "./reply.js";

// The dependencies are outside the repository, where only require looks for them (NODE_PATH).
const express = createRequire(import.meta.url)("express");

const WINDOW = 60_000;
const AUTHENTICATION_FAILED = answer("000001", "authentication failed");

// Who may call. Only verified nonces are remembered, for as long as their stamp could still be fresh.
class Verifier {
  #nonces = new Map();

  admits(signature, timestamp, nonce, body, now) {
    const right = Buffer.from(mac(KEY + nonce + timestamp + mac(body, "hex"), "hex"));
    const given = Buffer.from(signature.toLowerCase());
    if (!nonce || given.length !== right.length || !timingSafeEqual(given, right)) return false;
    if (!/^[0-9]{1,15}$/.test(timestamp) || Math.abs(now - Number(timestamp)) > WINDOW) return false;
    if (this.#nonces.has(nonce)) return false;
    // The oldest come first.
    for (const [old, seen] of this.#nonces) {
      if (seen >= now - 2 * WINDOW) break;
      this.#nonces.delete(old);
    }
    this.#nonces.set(nonce, now);
    return true;
  }
}

// The store in its thread, which carries calls out one after the other.
class StoreThread {
  #worker = new Worker(new URL("store.js", import.meta.url));
  #waiting = new Map();
  #last = 0;

  async open() {
    await once(this.#worker, "message");
    this.#worker.on("message", ({ id, reply, error }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      error ? reject(error) : resolve(reply);
    });
  }

  exchange(requestLine, body, now) {
    return new Promise((resolve, reject) => {
      const id = ++this.#last;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, requestLine, body, now });
    });
  }

  close() {
    this.#worker.postMessage("close");
  }
}

const verifier = new Verifier();
const store = new StoreThread();
await store.open();

const app = express();
app.disable("x-powered-by");
app.disable("etag");
// The signature covers these very bytes: no other parser may have seen the body.
app.post("/saasproduce", express.raw({ type: () => true, limit: "1mb" }), async (request, response) => {
  const now = Date.now();
  const body = request.body ?? Buffer.alloc(0);
  const [signature, timestamp, nonce] = ["signature", "timestamp", "nonce"].map((name) => String(request.query[name] ?? ""));
  const requestLine = `POST ${request.originalUrl} HTTP/${request.httpVersion}`;
  const reply = verifier.admits(signature, timestamp, nonce, body, now)
    ? await store.exchange(requestLine, body, now)
    : AUTHENTICATION_FAILED;
  // Not by Express's send or set, which add a charset to the type.
  const length = Buffer.byteLength(reply.answer);
  response.writeHead(200, { "Content-Type": "application/json", "Content-Length": length, "Body-Sign": reply.body_sign });
  response.end(reply.answer);
});

const server = app.listen(Number(process.argv[2]), "127.0.0.1", 1024, (error) => {
  if (error) throw error;
  console.error(`serves http://127.0.0.1:${server.address().port}/saasproduce`);
});
server.keepAliveTimeout = 75_000;
process.once("SIGTERM", () => {
  server.close(() => store.close());
  server.closeIdleConnections();
  // Connections on which nothing has been sent yet count as busy.
  setTimeout(() => server.closeAllConnections(), 3000).unref();
});
