// The peer in Node.js: Express and better-sqlite3. README.md says why it is set up as it is.
//
//     NODE_PATH=TARGET_FOLDER/node_modules node app.js PORT

import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The dependencies are outside the repository, where only require looks for them (NODE_PATH).
const require = createRequire(import.meta.url);
const Database = require("better-sqlite3");
const express = require("express");

const KEY = "11111111-2222-3333-4444-555555555555";
const WINDOW = 60_000;
const SCHEMA = new URL("../schema.sql", import.meta.url);

const mac = (data, encoding) => createHmac("sha256", KEY).update(data).digest(encoding);

// The bytes of an answer and its Body-Sign.
function answer(code, message, more = {}) {
  const text = JSON.stringify({ resultCode: code, resultMsg: message, ...more });
  return { answer: text, body_sign: `sign_type="HMAC-SHA256", signature="${mac(text, "base64")}"` };
}

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

class Store {
  constructor(file) {
    this.database = new Database(file, { timeout: 10_000 });
    this.database.exec(readFileSync(SCHEMA, "utf8"));
    this.database.pragma("synchronous = FULL");
    this.database.pragma("cache_size = -65536");
    const prepare = (sql) => this.database.prepare(sql);
    this.known = prepare("SELECT answer, body_sign FROM operation WHERE order_id = ? AND order_line_id = ?");
    this.keep = prepare("INSERT INTO operation VALUES (?, ?, ?, ?, ?)");
    this.create = prepare("INSERT OR IGNORE INTO instance VALUES (?, ?, ?, ?)");
    this.order = prepare("SELECT order_id FROM instance WHERE id = ?").pluck();
    this.record = prepare(
      "INSERT INTO exchange (received_at, order_id, request_line, request_body, answer) VALUES (?, ?, ?, ?, ?)",
    );
    // Carries a call out and records it; what it returns is on disk. IMMEDIATE: what is read here is still so when it is
    // written, whoever else has the file open.
    this.exchange = this.database.transaction((requestLine, body, now) => {
      const [order, reply] = this.carryOut(body, now);
      this.record.run(now, order, requestLine, body, reply.answer);
      return reply;
    }).immediate;
  }

  close() {
    this.database.close();
  }

  // The order that the call is about and the answer.
  carryOut(body, now) {
    let call;
    try {
      call = JSON.parse(body.toString());
    } catch {
      return [null, answer("000002", "the body is not JSON")];
    }
    switch (call?.activity) {
      case "newInstance":
        return this.newInstance(call, now);
      case "queryInstance":
        return this.queryInstance(call);
      default:
        return [null, answer("000002", "activity is missing or unknown")];
    }
  }

  newInstance({ orderId, orderLineId, businessId }, now) {
    if (![orderId, orderLineId, businessId].every((value) => typeof value === "string" && value)) {
      return [null, answer("000002", "orderId, orderLineId or businessId is missing")];
    }
    const known = this.known.get(orderId, orderLineId);
    if (known) return [orderId, known];
    let instanceId = businessId;
    // Where another order has been given this id.
    while (this.create.run(instanceId, orderId, orderLineId, now).changes === 0) instanceId = randomUUID();
    const reply = answer("000000", "success", { instanceId });
    this.keep.run(orderId, orderLineId, reply.answer, reply.body_sign, now);
    return [orderId, reply];
  }

  queryInstance({ instanceId }) {
    if (typeof instanceId !== "string" || !instanceId) return [null, answer("000002", "instanceId is missing")];
    const order = this.order.get(instanceId);
    if (order === undefined) return [null, answer("000003", "the instance does not exist", { info: [] })];
    const frontEndUrl = `https://app.example.com/${encodeURIComponent(instanceId)}`;
    const appInfo = { frontEndUrl, adminUrl: "https://app.example.com/admin" };
    return [order, answer("000000", "success", { info: [{ instanceId, appInfo }] })];
  }
}

const verifier = new Verifier();
const store = new Store("peer.db");

const app = express();
app.disable("x-powered-by");
app.disable("etag");
// The signature covers these very bytes: no other parser may have seen the body.
app.post("/saasproduce", express.raw({ type: () => true, limit: "1mb" }), (request, response) => {
  const now = Date.now();
  const body = request.body ?? Buffer.alloc(0);
  // A parameter that is given twice is a list: no signature fits it.
  const [signature, timestamp, nonce] = ["signature", "timestamp", "nonce"].map((name) => String(request.query[name] ?? ""));
  const requestLine = `POST ${request.originalUrl} HTTP/${request.httpVersion}`;
  const reply = verifier.admits(signature, timestamp, nonce, body, now)
    ? store.exchange(requestLine, body, now)
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
  // Calls that have come in whole are answered by then: a call is carried out in one go.
  setTimeout(() => server.closeAllConnections(), 1000).unref();
});
