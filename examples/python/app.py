"""A merchant's application: the hook endpoint that koogate calls. README.md says how to start it, docs/events.md what it is told.

The one rule: the same operationId has one effect and one answer. Here the effect (a row in `account`) and the answer (a row in
`operation`) are one transaction of SQLite, so that parallel deliveries, a crash and a restart change nothing.
"""
import json, os, secrets, socketserver, sqlite3, sys, threading, time, urllib.error, urllib.parse, urllib.request
import wsgiref.simple_server
from standardwebhooks import Webhook, WebhookVerificationError

DATABASE = os.environ.get("DATABASE", "shop.db")
SEATS = int(os.environ.get("SEATS", "1000"))
# Set: accounts are opened in the background and reported to koogate's admin listener (pending). Unset: at once (ready).
KOOGATE_ADMIN = os.environ.get("KOOGATE_ADMIN")
SCHEMA = """
CREATE TABLE IF NOT EXISTS operation (id TEXT PRIMARY KEY, event TEXT NOT NULL, answer TEXT);
CREATE TABLE IF NOT EXISTS account (instance_id TEXT PRIMARY KEY, status TEXT NOT NULL, password TEXT, expires TEXT, quantity INTEGER);
"""

def read_file(variable, default):
    with open(os.environ.get(variable, default)) as file:
        return file.read().strip()

webhook = Webhook(read_file("HOOK_SECRET_FILE", "hook.secret"))

def connect():
    # isolation_level=None: this program says BEGIN and COMMIT itself. FULL: what was answered survives a power cut. No
    # journal_mode = WAL: of workers that change it at the same moment all but one are told "database is locked" at once.
    database = sqlite3.connect(DATABASE, timeout=30, isolation_level=None)
    database.execute("PRAGMA synchronous = FULL")
    return database

def create(database, event):
    id = event["instanceId"]
    row = database.execute("SELECT status, password FROM account WHERE instance_id = ?", (id,)).fetchone()
    if row is None:
        taken = database.execute("SELECT count(*) FROM account WHERE status <> 'released'").fetchone()[0]
        if taken >= SEATS:
            return {"status": "refused", "resultCode": "000106", "message": "sold out"}
        # Without [open_api] a V2 purchase tells ids only: quantity and expireTime may be null, or the section absent.
        order = event.get("order") or {}
        row = ("opening" if KOOGATE_ADMIN else "active", secrets.token_urlsafe(12))
        database.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?)", (id, *row, order.get("expireTime"), order.get("quantity")))
    if row[0] == "opening":
        return {"status": "pending"}
    return {"status": "ready", "access": access(id, row[1])}

def access(id, password):
    # Ids come from outside: percent-encode them in an address.
    return {"frontEndUrl": "https://app.example.com/" + urllib.parse.quote(id, safe=""), "userName": "admin", "password": password}

def change(database, event):
    """Renewal, freeze, unfreeze, upgrade, release: set what the event says, add nothing up. Twice is then as good as once."""
    id, instance, change = event["instanceId"], event["instance"], event.get("change") or {}
    if event["kind"] == "license-code":
        # KooGallery makes these codes: the first event about one is the first this application hears of it.
        database.execute("INSERT OR IGNORE INTO account VALUES (?, 'active', NULL, NULL, NULL)", (id,))
    done = database.execute("UPDATE account SET status = ? WHERE instance_id = ?", (instance["status"], id))
    if done.rowcount == 0 and event["event"] != "instance.release":
        raise LookupError(f"no account {id}")  # fails the attempt: koogate tries again and tells the operator
    if event["event"] == "instance.renew":
        # The date may also go back (a refunded renewal), or be null: no end any more.
        database.execute("UPDATE account SET expires = ? WHERE instance_id = ?", (change.get("expireTime"), id))
    if event["event"] == "instance.upgrade" and (event.get("order") or {}).get("quantity") is not None:
        database.execute("UPDATE account SET quantity = ? WHERE instance_id = ?", (event["order"]["quantity"], id))
    return {"status": "ready"}

def issue(database, event):
    # A random licence is fine: it is kept with the operation, and given again. A kind "license" buyer is an account from now on.
    if event["kind"] == "license":
        account = (event["instanceId"], event["change"].get("expireTime"))
        database.execute("INSERT OR IGNORE INTO account VALUES (?, 'active', NULL, ?, NULL)", account)
    return {"status": "ready", "license": "-".join(secrets.token_hex(2).upper() for _ in range(4))}

def check_change(database, event):
    # A question: change nothing. Compare what is in use with the smaller quota; here nothing is counted.
    return {"status": "ready"}

def directory(database, event):
    # Joint operation (联营): tenants, users, departments. Who has no use for them says ready: a failing one holds up the rest.
    return {"status": "ready"}

EVENTS = {
    "instance.create": create, "instance.renew": change, "instance.freeze": change, "instance.unfreeze": change,
    "instance.upgrade": change, "instance.release": change, "instance.check_change": check_change, "license.issue": issue,
    "tenant.sync": directory, "application.sync": directory, "users.sync": directory, "departments.sync": directory,
}

def answer(event, body):
    if event["test"]:  # a debugging call (调试) that was forwarded: no real effect
        return json.dumps({"status": "ready", "access": access("test", "test"), "license": "TEST"})
    database = connect()
    try:
        # IMMEDIATE: of two deliveries at the same moment the second waits here, and then finds the first one's answer.
        database.execute("BEGIN IMMEDIATE")
        known = database.execute("SELECT answer FROM operation WHERE id = ?", (event["operationId"],)).fetchone()
        if known and known[0] is not None:
            return known[0]
        told = EVENTS[event["event"]](database, event)  # an event of a later version: KeyError, a failed attempt, not a lost one
        text = json.dumps(told, ensure_ascii=False)
        # Only "ready" is final. After "pending" and "refused" the same operationId asks again, and may succeed.
        # The event is kept as well (of a refusal nothing): `koogate restore --adopt` reads it when a backup was too old.
        if told["status"] != "refused" and event["event"] != "instance.check_change":
            final = text if told["status"] == "ready" else None
            database.execute("INSERT OR REPLACE INTO operation VALUES (?, ?, ?)", (event["operationId"], body.decode(), final))
        database.execute("COMMIT")
        return text
    finally:
        database.close()  # rolls back what was not committed

def hook(request, respond):
    length = int(request.get("CONTENT_LENGTH") or 0)
    if request["REQUEST_METHOD"] != "POST" or not 0 <= length <= 2**20:
        respond("400 Bad Request", [])
        return []
    # The signature covers these very bytes: verify before parsing, and never what a framework has parsed and written anew.
    body = request["wsgi.input"].read(length)
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    headers = {name: request.get("HTTP_" + name.upper().replace("-", "_"), "") for name in names}
    try:
        # Constant time, and no older than five minutes. webhook-id repeats with every attempt: do not refuse a known one.
        webhook.verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):
        respond("401 Unauthorized", [])
        return []
    try:
        text = answer(json.loads(body), body)
    except Exception as error:  # anything but 2xx is a failed attempt, and is made again
        print(f"failed: {error!r}", file=sys.stderr, flush=True)
        respond("500 Internal Server Error", [("Content-Type", "text/plain; charset=utf-8")])
        return [repr(error).encode()]
    respond("200 OK", [("Content-Type", "application/json")])
    return [text.encode()]

def open_accounts():
    """Opens what is `opening` and reports what is `opened`. Both are in the database, so a restart goes on where this ended."""
    while True:
        database = connect()
        rows = database.execute("SELECT instance_id, status, password FROM account WHERE status IN ('opening', 'opened')").fetchall()
        for id, status, password in rows:
            if status == "opening":
                # Your slow work stands here. It may be begun twice (a crash in between), so it must bear that.
                database.execute("UPDATE account SET status = 'opened' WHERE instance_id = ? AND status = 'opening'", (id,))
            if report(id, {"status": "ready", "access": access(id, password)}):
                database.execute("UPDATE account SET status = 'active' WHERE instance_id = ? AND status = 'opened'", (id,))
        database.close()
        # A report that failed is made again; besides, koogate asks again every ten minutes.
        time.sleep(1)

def report(id, told):
    url = f"{KOOGATE_ADMIN}/api/v1/instances/{urllib.parse.quote(id, safe='')}/ready"
    token = read_file("ADMIN_TOKEN_FILE", "admin.token")
    request = urllib.request.Request(url, json.dumps(told).encode(), {"Authorization": f"Bearer {token}"}, method="POST")
    try:
        urllib.request.urlopen(request, timeout=10).close()
        return True
    except urllib.error.HTTPError as error:
        return error.code in (404, 409)  # not there, or released meanwhile: nothing to report
    except OSError as error:
        print(f"not reported: {error}", file=sys.stderr, flush=True)
        return False

class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 128

database = connect()
database.executescript(SCHEMA)
database.close()
if KOOGATE_ADMIN:
    threading.Thread(target=open_accounts, daemon=True).start()
if __name__ == "__main__":
    # 127.0.0.1: koogate is the only caller. On another machine put HTTPS in front.
    port = int(os.environ.get("PORT", "3000"))
    wsgiref.simple_server.make_server("127.0.0.1", port, hook, Server).serve_forever()
