-- The tables of the peers in Python, Node.js and Java: one schema, so that what they are compared by is their stack.

PRAGMA journal_mode = WAL;

CREATE TABLE IF NOT EXISTS instance (
  id            TEXT PRIMARY KEY,
  order_id      TEXT NOT NULL,
  order_line_id TEXT NOT NULL,
  created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What has an effect once: its answer is given again to every repeat.
CREATE TABLE IF NOT EXISTS operation (
  order_id      TEXT NOT NULL,
  order_line_id TEXT NOT NULL,
  answer        TEXT NOT NULL,
  body_sign     TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  PRIMARY KEY (order_id, order_line_id)
) STRICT, WITHOUT ROWID;

-- The journal: every authenticated call, as it came and as it was answered.
CREATE TABLE IF NOT EXISTS exchange (
  id           INTEGER PRIMARY KEY,
  received_at  INTEGER NOT NULL,
  order_id     TEXT,
  request_line TEXT NOT NULL,
  request_body BLOB NOT NULL,
  answer       TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS exchange_by_time ON exchange (received_at);
CREATE INDEX IF NOT EXISTS exchange_by_order ON exchange (order_id) WHERE order_id IS NOT NULL;
