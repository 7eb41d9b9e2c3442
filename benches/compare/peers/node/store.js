// The thread of the database. better-sqlite3 blocks until a commit is on disk: here that holds up no reading and verifying.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { parentPort } from "node:worker_threads";
import { answer } from "./reply.js";

// The dependencies are outside the repository, where only require looks for them (NODE_PATH).
const Database = createRequire(import.meta.url)("better-sqlite3");
const SCHEMA = new URL("../schema.sql", import.meta.url);

class Store {
  constructor(file) {
    this.database = new Database(file, { timeout: 10_000 });
    this.database.exec(readFileSync(SCHEMA, "utf8"));
    this.database.pragma("synchronous = FULL");
    this.database.pragma("cache_size = -16000");
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

const store = new Store("peer.db");
parentPort.on("message", (call) => {
  if (call === "close") {
    store.close();
    return parentPort.close();
  }
  const { id, requestLine, body, now } = call;
  try {
    // A Buffer comes out of a message as a plain Uint8Array.
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
    parentPort.postMessage({ id, reply: store.exchange(requestLine, bytes, now) });
  } catch (error) {
    parentPort.postMessage({ id, error });
  }
});
parentPort.postMessage("open");
