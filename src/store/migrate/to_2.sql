-- Version 2: restores are recorded; so are alerts, what operators do, and KooGallery's test calls. Calls are found by
-- their order through their operation.

-- Every time a copy took the place of a database. What was answered between the copy and the loss is not in this file:
-- `koogate restore --report` tells what is known of it. Rows are never deleted.
CREATE TABLE restore (
  id               INTEGER PRIMARY KEY,
  restored_at      INTEGER NOT NULL,
  copy_at          INTEGER,                     -- when the copy was taken; NULL: it was a database, not a snapshot
  last_exchange    INTEGER NOT NULL,            -- the last number that the journal of the copy had given
  last_exchange_at INTEGER,                     -- when its newest call came in; NULL: it had none
  skipped          INTEGER NOT NULL CHECK (skipped >= 0),
                                                -- so many numbers after it are given to no call: the lost database may have
                                                -- given them
  replaced         TEXT,                        -- what the database that was there is kept as; NULL: there was none, or
                                                -- the copy was put there by hand
  looked_at        INTEGER                      -- when its report was read first; NULL: nobody has asked for it
) STRICT;

CREATE VIEW restore_view AS
  SELECT id, strftime('%Y-%m-%dT%H:%M:%SZ', restored_at / 1000, 'unixepoch') AS restored_at,
         strftime('%Y-%m-%dT%H:%M:%SZ', copy_at / 1000, 'unixepoch') AS copy_at, last_exchange,
         strftime('%Y-%m-%dT%H:%M:%SZ', last_exchange_at / 1000, 'unixepoch') AS last_exchange_at, skipped, replaced
  FROM restore;

-- What stands wrong, or stood, and who has been told: so that a restart tells nothing twice and forgets nothing. Old rows
-- that have ended are purged.
CREATE TABLE alert (
  id               INTEGER PRIMARY KEY,
  kind             TEXT    NOT NULL,            -- what it is, as docs/alerts.md names it
  subject          TEXT    NOT NULL,            -- what it is about: an instanceId, a job, a stock; '': koogate as a whole
  alarm            TEXT    NOT NULL,            -- JSON: the facts that its texts are made of; no secret, no personal data
  since            INTEGER NOT NULL,
  last_met         INTEGER NOT NULL,
  times            INTEGER NOT NULL DEFAULT 1,  -- how often it was met; of what stands: once
  ended_at         INTEGER,                     -- NULL: it stands
  CHECK (since <= last_met OR ended_at IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX alert_standing ON alert (kind, subject) WHERE ended_at IS NULL;
CREATE INDEX alert_ended ON alert (ended_at) WHERE ended_at IS NOT NULL;

-- Which webhook was told of which alert.
CREATE TABLE alert_told (
  alert            INTEGER NOT NULL REFERENCES alert (id) ON DELETE CASCADE,
  webhook          TEXT    NOT NULL,            -- label of its address
  told_at          INTEGER NOT NULL,            -- the last time
  times            INTEGER NOT NULL,            -- how often; the reminders become rarer
  end_told         INTEGER NOT NULL DEFAULT 0 CHECK (end_told IN (0, 1)),  -- 1: it knows that it is over
  PRIMARY KEY (alert, webhook)
) STRICT, WITHOUT ROWID;

-- How the webhooks themselves do: their failures are shown, and never alerted.
CREATE TABLE alert_webhook (
  webhook          TEXT    PRIMARY KEY,         -- label of its address
  kind             TEXT    NOT NULL,            -- wecom, dingtalk, feishu, generic
  delivered_at     INTEGER,                     -- the last message that it took
  failing_since    INTEGER,                     -- NULL: the last one was taken
  failures         INTEGER NOT NULL DEFAULT 0,  -- in a row
  not_before       INTEGER,                     -- the next attempt
  last_error       TEXT
) STRICT, WITHOUT ROWID;

-- What an operator did on the status page, and every secret that was shown there. Purged with the journal.
CREATE TABLE operator_action (
  id               INTEGER PRIMARY KEY,
  at               INTEGER NOT NULL,
  peer             TEXT    NOT NULL,            -- from where
  action           TEXT    NOT NULL,            -- retry, ready, import, export, reveal …
  subject          TEXT    NOT NULL,            -- what it was done to: an instanceId, a job, a stock
  detail           TEXT                         -- what else there is to say; no secret, no personal data
) STRICT;
CREATE INDEX operator_action_by_time ON operator_action (at);

-- The calendar of KooGallery's test calls, which come twice a day: one row for each half day of Beijing time.
CREATE TABLE test_call_calendar (
  half_day         INTEGER PRIMARY KEY,         -- counts from 1970-01-01 in Beijing; even: 00:00 to 12:00, odd: after it
  calls            INTEGER NOT NULL,
  failures         INTEGER NOT NULL,            -- answered neither 000000 nor 000004
  last_at          INTEGER NOT NULL
) STRICT;

-- Orders that are open, have failed, or were done only after KooGallery had given them up (three hours after the first
-- call): few rows, and what costs money is among them.
CREATE INDEX operation_slow ON operation (created_at) WHERE state <> 'done' OR done_at > created_at + 10800000;
CREATE INDEX license_requested ON license (requested_at) WHERE state = 'requested';
CREATE VIEW alert_view AS
  SELECT id, kind, subject, strftime('%Y-%m-%dT%H:%M:%SZ', since / 1000, 'unixepoch') AS since, times,
         strftime('%Y-%m-%dT%H:%M:%SZ', last_met / 1000, 'unixepoch') AS last_met,
         strftime('%Y-%m-%dT%H:%M:%SZ', ended_at / 1000, 'unixepoch') AS ended_at, alarm
  FROM alert;

-- What failed is few rows among many.
CREATE INDEX exchange_failed      ON exchange (received_at) WHERE result_code NOT IN ('000000', '000004');

-- A repeat's row is found through its operation, and costs no page of an index of orders.
ALTER TABLE operation ADD COLUMN
  order_id         TEXT                         /* that its first call named; NULL: none, or nobody knows */;
-- The order that the first call named. Where that call is purged: one that another call of the operation named, or the one
-- that a creation was for. It decides only how calls from now on are found; those that are there stay in exchange_by_order.
UPDATE operation SET order_id =
  CASE WHEN EXISTS (SELECT 1 FROM exchange WHERE exchange.id = operation.first_exchange)
    THEN (SELECT exchange.order_id FROM exchange WHERE exchange.id = operation.first_exchange)
    ELSE coalesce(
      (SELECT exchange.order_id FROM exchange INDEXED BY exchange_by_operation WHERE exchange.operation = operation.id
       AND exchange.order_id IS NOT NULL AND exchange.difference IS NULL ORDER BY exchange.id LIMIT 1),
      CASE WHEN operation.identity ->> '$[2]' = 'create'
        THEN (SELECT instance.order_id FROM instance WHERE instance.id = operation.instance) END)
  END;
CREATE INDEX operation_by_order ON operation (order_id) WHERE order_id IS NOT NULL;
ALTER TABLE exchange ADD COLUMN
  through_operation INTEGER NOT NULL DEFAULT 0  /* 1: its operation names the same order, and the row is found through
                                                it; 0: it is in exchange_by_order */
                   CHECK (through_operation = 0
                   OR through_operation = 1 AND operation IS NOT NULL AND order_id IS NOT NULL);

-- A call may be about anything that was ever sold: an index that begins with that costs a page for each row, one that begins
-- with the stretch of 2,048 calls does not.
DROP INDEX exchange_by_operation;
DROP INDEX exchange_by_order;
DROP INDEX exchange_by_instance;
CREATE INDEX exchange_by_operation ON exchange (id >> 11, operation) WHERE operation IS NOT NULL;
CREATE INDEX exchange_by_order    ON exchange (id >> 11, order_id) WHERE order_id IS NOT NULL AND through_operation = 0;
CREATE INDEX exchange_by_instance ON exchange (id >> 11, instance_id) WHERE instance_id IS NOT NULL AND operation IS NULL;
