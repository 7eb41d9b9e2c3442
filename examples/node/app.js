// A merchant's application: the hook endpoint that koogate calls. README.md says how to start it, docs/events.md what it is told.
//
// The one rule: the same operationId has one effect and one answer. Here the effect (a row in `account`) and the answer (a row
// in `operation`) are one transaction of SQLite, so that parallel deliveries, a crash and a restart change nothing.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { Webhook } from "standardwebhooks";

const { DATABASE = "shop.db", PORT = "3000", HOOK_SECRET_FILE = "hook.secret", ADMIN_TOKEN_FILE = "admin.token" } = process.env;
const SEATS = Number(process.env.SEATS ?? "1000");
// Set: accounts are opened in the background and reported to koogate's admin listener (pending). Unset: at once (ready).
const KOOGATE_ADMIN = process.env.KOOGATE_ADMIN;
const webhook = new Webhook(readFileSync(HOOK_SECRET_FILE, "utf8").trim());

const database = new DatabaseSync(DATABASE);
// FULL: what was answered survives a power cut.
database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 30000;
CREATE TABLE IF NOT EXISTS operation (id TEXT PRIMARY KEY, event TEXT NOT NULL, answer TEXT);
CREATE TABLE IF NOT EXISTS account (instance_id TEXT PRIMARY KEY, status TEXT NOT NULL, password TEXT, expires TEXT, quantity INTEGER);`);
const one = (sql, ...values) => database.prepare(sql).get(...values);
const run = (sql, ...values) => database.prepare(sql).run(...values).changes;

// Ids come from outside: percent-encode them in an address.
const access = (id, password) =>
  ({ frontEndUrl: `https://app.example.com/${encodeURIComponent(id)}`, userName: "admin", password });

function create({ instanceId, order }) {
  let account = one("SELECT status, password FROM account WHERE instance_id = ?", instanceId);
  if (!account) {
    if (one("SELECT count(*) AS taken FROM account WHERE status <> 'released'").taken >= SEATS)
      return { status: "refused", resultCode: "000106", message: "sold out" };
    account = { status: KOOGATE_ADMIN ? "opening" : "active", password: randomBytes(12).toString("base64url") };
    // Without [open_api] a V2 purchase tells ids only: quantity and expireTime may be null, or the section absent.
    run("INSERT INTO account VALUES (?, ?, ?, ?, ?)", instanceId, account.status, account.password,
      order?.expireTime ?? null, order?.quantity ?? null);
  }
  if (account.status === "opening") return { status: "pending" };
  return { status: "ready", access: access(instanceId, account.password) };
}

// Renewal, freeze, unfreeze, upgrade, release: set what the event says, add nothing up. Twice is then as good as once.
function change({ event, kind, instanceId, instance, change, order }) {
  // License-code: KooGallery makes these codes; the first event about one is the first this application hears of it.
  if (kind === "license-code") run("INSERT OR IGNORE INTO account VALUES (?, 'active', NULL, NULL, NULL)", instanceId);
  const changed = run("UPDATE account SET status = ? WHERE instance_id = ?", instance.status, instanceId);
  // Fails the attempt: koogate tries again and tells the operator.
  if (changed === 0 && event !== "instance.release") throw new Error(`no account ${instanceId}`);
  // The date may also go back (a refunded renewal), or be null: no end any more.
  if (event === "instance.renew") run("UPDATE account SET expires = ? WHERE instance_id = ?", change.expireTime ?? null, instanceId);
  if (event === "instance.upgrade" && order?.quantity != null)
    run("UPDATE account SET quantity = ? WHERE instance_id = ?", order.quantity, instanceId);
  return { status: "ready" };
}

// A random licence is fine: it is kept with the operation, and given again.
function issue({ kind, instanceId, change }) {
  if (kind === "license") run("INSERT OR IGNORE INTO account VALUES (?, 'active', NULL, ?, NULL)", instanceId, change.expireTime ?? null);
  return { status: "ready", license: randomBytes(8).toString("hex").toUpperCase().match(/.{4}/g).join("-") };
}

// A question: change nothing. Compare what is in use with the smaller quota; here nothing is counted.
const checkChange = () => ({ status: "ready" });
// Joint operation (联营): tenants, users, departments. Who has no use for them says ready: a failing one holds up the rest.
const directory = () => ({ status: "ready" });

const EVENTS = {
  "instance.create": create, "instance.renew": change, "instance.freeze": change, "instance.unfreeze": change,
  "instance.upgrade": change, "instance.release": change, "instance.check_change": checkChange, "license.issue": issue,
  "tenant.sync": directory, "application.sync": directory, "users.sync": directory, "departments.sync": directory,
};

function answer(event, body) {
  // A debugging call (调试) that was forwarded: no real effect.
  if (event.test) return JSON.stringify({ status: "ready", access: access("test", "test"), license: "TEST" });
  // An event of a later version: a failed attempt that the operator sees, not a lost one.
  if (!Object.hasOwn(EVENTS, event.event)) throw new Error(`unknown event ${event.event}`);
  // IMMEDIATE, and no await before COMMIT: a second delivery of this operation comes after it and finds the answer. Work that
  // must wait for something else belongs into openAccounts below.
  database.exec("BEGIN IMMEDIATE");
  try {
    let text = one("SELECT answer FROM operation WHERE id = ?", event.operationId)?.answer;
    if (!text) {
      const told = EVENTS[event.event](event);
      text = JSON.stringify(told);
      // Only "ready" is final. After "pending" and "refused" the same operationId asks again, and may succeed.
      // The event is kept as well (of a refusal nothing): `koogate restore --adopt` reads it when a backup was too old.
      if (told.status !== "refused" && event.event !== "instance.check_change")
        run("INSERT OR REPLACE INTO operation VALUES (?, ?, ?)", event.operationId, body, told.status === "ready" ? text : null);
    }
    database.exec("COMMIT");
    return text;
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

async function hook(request, response) {
  const end = (status, text = "", type = "text/plain; charset=utf-8") => response.writeHead(status, { "Content-Type": type }).end(text);
  if (request.method !== "POST") return end(405);
  // The signature covers these very bytes: verify before parsing. In Express: express.raw({ type: "*/*", limit: "1mb" }) on this
  // route, before any express.json(), and req.body as it is.
  const pieces = [];
  let length = 0;
  for await (const piece of request) {
    length += piece.length;
    if (length > 2 ** 20) return end(413);
    pieces.push(piece);
  }
  const body = Buffer.concat(pieces).toString();
  try {
    // Constant time, and no older than five minutes. webhook-id repeats with every attempt: do not refuse a known one.
    webhook.verify(body, request.headers, { jsonParse: false });
  } catch {
    return end(401);
  }
  try {
    return end(200, answer(JSON.parse(body), body), "application/json");
  } catch (error) {
    console.error("failed:", error); // anything but 2xx is a failed attempt, and is made again
    return end(500, String(error));
  }
}

// Opens what is `opening` and reports what is `opened`. Both are in the database, so a restart goes on where this ended.
async function openAccounts() {
  for (const { instance_id: id, status, password } of
    database.prepare("SELECT instance_id, status, password FROM account WHERE status IN ('opening', 'opened')").all()) {
    // Your slow work stands here. It may be begun twice (a crash in between), so it must bear that.
    if (status === "opening") run("UPDATE account SET status = 'opened' WHERE instance_id = ? AND status = 'opening'", id);
    if (await report(id, { status: "ready", access: access(id, password) }))
      run("UPDATE account SET status = 'active' WHERE instance_id = ? AND status = 'opened'", id);
  }
  setTimeout(openAccounts, 1000); // a report that failed is made again; besides, koogate asks again every ten minutes
}

async function report(id, told) {
  try {
    const headers = { Authorization: `Bearer ${readFileSync(ADMIN_TOKEN_FILE, "utf8").trim()}` };
    const url = `${KOOGATE_ADMIN}/api/v1/instances/${encodeURIComponent(id)}/ready`;
    const reply = await fetch(url, { method: "POST", headers, body: JSON.stringify(told), signal: AbortSignal.timeout(10_000) });
    await reply.arrayBuffer();
    return reply.ok || reply.status === 404 || reply.status === 409; // not there, or released meanwhile: nothing to report
  } catch (error) {
    console.error("not reported:", error.message);
    return false;
  }
}

if (KOOGATE_ADMIN) openAccounts();
// 127.0.0.1: koogate is the only caller. On another machine put HTTPS in front.
createServer((request, response) => hook(request, response).catch(() => response.destroy())).listen(Number(PORT), "127.0.0.1");
