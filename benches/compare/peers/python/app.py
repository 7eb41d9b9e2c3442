"""The peer in Python: FastAPI on uvicorn, the standard library's sqlite3. README.md says why it is set up as it is.

    python app.py PORT
"""

import asyncio
import base64
import hmac
import json
import signal
import socket
import sqlite3
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI, Request, Response

KEY = b"11111111-2222-3333-4444-555555555555"
WINDOW = 60_000
SCHEMA = Path(__file__).parent.parent / "schema.sql"


def mac(data: bytes) -> bytes:
    return hmac.digest(KEY, data, "sha256")


def body_sign(answer: str) -> str:
    return f'sign_type="HMAC-SHA256", signature="{base64.b64encode(mac(answer.encode())).decode()}"'


def answer(code: str, message: str, **more) -> tuple[str, str]:
    """The bytes of an answer and its Body-Sign."""
    text = json.dumps({"resultCode": code, "resultMsg": message, **more}, separators=(",", ":"))
    return text, body_sign(text)


AUTHENTICATION_FAILED = answer("000001", "authentication failed")


class Verifier:
    """Who may call. Only verified nonces are remembered, for as long as their stamp could still be fresh."""

    def __init__(self) -> None:
        self.nonces: dict[str, int] = {}

    def admits(self, signature: str, timestamp: str, nonce: str, body: bytes, now: int) -> bool:
        inner = mac(body).hex()
        right = mac(KEY + f"{nonce}{timestamp}{inner}".encode()).hex()
        if not nonce or not hmac.compare_digest(right.encode(), signature.lower().encode()):
            return False
        if not (timestamp.isascii() and timestamp.isdigit()) or abs(now - int(timestamp)) > WINDOW:
            return False
        if nonce in self.nonces:
            return False
        # The oldest come first.
        while self.nonces and next(iter(self.nonces.values())) < now - 2 * WINDOW:
            del self.nonces[next(iter(self.nonces))]
        self.nonces[nonce] = now
        return True


class Store:
    """One connection, used by one thread: SQLite has one writer at a time, and every call writes to the journal."""

    def __init__(self) -> None:
        # isolation_level=None: BEGIN and COMMIT are said here. The module keeps prepared statements by their text.
        self.database = sqlite3.connect("peer.db", timeout=10, isolation_level=None, check_same_thread=False)
        self.database.executescript(SCHEMA.read_text())
        self.database.execute("PRAGMA synchronous = FULL")
        self.database.execute("PRAGMA cache_size = -4096")

    def close(self) -> None:
        self.database.close()

    def exchange(self, request_line: str, body: bytes, now: int) -> tuple[str, str]:
        """Carries a call out and records it; what it returns is on disk."""
        # IMMEDIATE: what is read here is still so when it is written, whoever else has the file open.
        self.database.execute("BEGIN IMMEDIATE")
        try:
            order, reply = self.carry_out(body, now)
            self.database.execute(
                "INSERT INTO exchange (received_at, order_id, request_line, request_body, answer) VALUES (?, ?, ?, ?, ?)",
                (now, order, request_line, body, reply[0]),
            )
            self.database.execute("COMMIT")
            return reply
        except BaseException:
            if self.database.in_transaction:
                self.database.execute("ROLLBACK")
            raise

    def carry_out(self, body: bytes, now: int) -> tuple[str | None, tuple[str, str]]:
        """The order that the call is about and the answer."""
        try:
            call = json.loads(body)
        except ValueError:
            return None, answer("000002", "the body is not JSON")
        if not isinstance(call, dict):
            return None, answer("000002", "the body is not a JSON object")
        match call.get("activity"):
            case "newInstance":
                return self.new_instance(call, now)
            case "queryInstance":
                return self.query_instance(call)
        return None, answer("000002", "activity is missing or unknown")

    def new_instance(self, call: dict, now: int) -> tuple[str | None, tuple[str, str]]:
        order, line, business_id = (call.get(name) for name in ("orderId", "orderLineId", "businessId"))
        if not all(isinstance(value, str) and value for value in (order, line, business_id)):
            return None, answer("000002", "orderId, orderLineId or businessId is missing")
        known = self.database.execute(
            "SELECT answer, body_sign FROM operation WHERE order_id = ? AND order_line_id = ?", (order, line)
        ).fetchone()
        if known is not None:
            return order, known
        instance_id = business_id
        while not self.create(instance_id, order, line, now):
            # Another order has been given this id.
            instance_id = str(uuid.uuid4())
        reply = answer("000000", "success", instanceId=instance_id)
        self.database.execute("INSERT INTO operation VALUES (?, ?, ?, ?, ?)", (order, line, *reply, now))
        return order, reply

    def create(self, instance_id: str, order: str, line: str, now: int) -> bool:
        row = (instance_id, order, line, now)
        return self.database.execute("INSERT OR IGNORE INTO instance VALUES (?, ?, ?, ?)", row).rowcount == 1

    def query_instance(self, call: dict) -> tuple[str | None, tuple[str, str]]:
        instance_id = call.get("instanceId")
        if not isinstance(instance_id, str) or not instance_id:
            return None, answer("000002", "instanceId is missing")
        found = self.database.execute("SELECT order_id FROM instance WHERE id = ?", (instance_id,)).fetchone()
        if found is None:
            return None, answer("000003", "the instance does not exist", info=[])
        front_end = f"https://app.example.com/{quote(instance_id, safe='')}"
        access = {"frontEndUrl": front_end, "adminUrl": "https://app.example.com/admin"}
        return found[0], answer("000000", "success", info=[{"instanceId": instance_id, "appInfo": access}])


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.verifier = Verifier()
    app.state.store = Store()
    app.state.writer = ThreadPoolExecutor(1, thread_name_prefix="database")
    yield
    app.state.writer.shutdown()
    app.state.store.close()


app = FastAPI(lifespan=lifespan, openapi_url=None)


@app.post("/saasproduce")
async def saasproduce(request: Request) -> Response:
    body = await request.body()
    now = time.time_ns() // 1_000_000
    query = request.query_params
    signature, timestamp, nonce = (query.get(name, "") for name in ("signature", "timestamp", "nonce"))
    state = request.app.state
    if state.verifier.admits(signature, timestamp, nonce, body, now):
        scope = request.scope
        line = f"{scope['method']} {scope['path']}?{scope['query_string'].decode('latin-1')} HTTP/{scope['http_version']}"
        # Not on the event loop: meanwhile it reads and verifies other calls.
        loop = asyncio.get_running_loop()
        text, sign = await loop.run_in_executor(state.writer, state.store.exchange, line, body, now)
    else:
        text, sign = AUTHENTICATION_FAILED
    return Response(text, media_type="application/json", headers={"Body-Sign": sign})


class Server(uvicorn.Server):
    """Says when it answers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"serves http://127.0.0.1:{sockets[0].getsockname()[1]}/saasproduce", file=sys.stderr, flush=True)


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
    # uvicorn hands a signal on to whoever was there before, when it has ended for it: this process has then ended well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
    )
    Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
