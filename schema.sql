-- The whole schema of a koogate database, in its newest version (`user_version` 2). New databases are made from this file;
-- those of older versions are brought here by the steps in src/store/migrate, and a test holds both to the same tables. What
-- a release has brought never changes: another table or column is another version. A column that a step has added stands
-- behind a comma at the beginning of its line, as ALTER TABLE writes it.
--
-- Reading it: times are Unix milliseconds (UTC); `datetime(x/1000, 'unixepoch')` shows one. Columns named *_sealed hold
-- AES-256-GCM ciphertext under the sealing key. The views at the end show the main tables with readable times:
--   sqlite3 koogate.db "SELECT * FROM exchange_view ORDER BY id DESC LIMIT 20"
-- Read as much as you like while koogate runs; write only through koogate.

-- One row of facts about this file.
CREATE TABLE meta (
  id               INTEGER PRIMARY KEY CHECK (id = 1),
  created_at       INTEGER NOT NULL,
  sealing_check    BLOB    NOT NULL,            -- a known text under the sealing key: tells a wrong key at once
  serving          TEXT,                        -- a mark while koogate has the file open, the same as in the .lock file
                                                -- beside it; NULL when it was closed. A file with a mark and without
                                                -- its -wal is a torn copy of a live database
  exchanges_purged INTEGER NOT NULL DEFAULT 0,  -- rows removed from exchange; with it the journal proves itself gapless
  snapshot_at      INTEGER,                     -- when this file was taken as a snapshot; NULL in the live database
  snapshot_digest  BLOB CHECK (length(snapshot_digest) = 32)
                                                -- SHA-256 of the snapshot's bytes, with these 32 taken as zeros
) STRICT;

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

-- What was sold: one row for every instance KooGallery asked for. Rows are never deleted.
CREATE TABLE instance (
  id               INTEGER PRIMARY KEY,
  environment      TEXT    NOT NULL CHECK (environment IN ('real', 'test')),
  kind             TEXT    NOT NULL CHECK (kind = 'saas' OR kind = 'license' OR kind = 'license-code'
                           OR kind = 'license-online'),
                                                -- instances of one kind share their ids
  instance_id      TEXT    NOT NULL,            -- the wire's instanceId; kind license-code: the code
  status           TEXT    NOT NULL CHECK (status = 'creating' OR status = 'active' OR status = 'frozen'
                           OR status = 'released'),
  status_serial    INTEGER NOT NULL DEFAULT 0,  -- counts status changes; tells a new freeze from a retried one
  order_id         TEXT,                        -- the order that bought it
  order_line_id    TEXT,
  product_id       TEXT,
  sku_code         TEXT,
  expire_time      INTEGER,                     -- NULL: none known or none applies
  front_end_url    TEXT,
  admin_url        TEXT,
  memo             TEXT,
  user_name_sealed BLOB,
  password_sealed  BLOB,
  charging_mode    TEXT,                        -- PERIOD, ON_DEMAND, ONE_TIME, ON_DEMAND_PKG; NULL: nobody has told it
  encrypts_credentials INTEGER NOT NULL DEFAULT 0 CHECK (encrypts_credentials IN (0, 1)),
                                                -- 1: the call that bought it encrypts them, which bounds their length
  terms            TEXT,                        -- JSON: what the purchase call last said of dates and period, which it
                                                -- may say anew (service supervision); NULL: it may not, or a renewal has
                                                -- overruled it
  terms_serial     INTEGER NOT NULL DEFAULT 0,  -- counts the changes of terms
  created_at       INTEGER NOT NULL,
  ready_at         INTEGER,
  released_at      INTEGER,
  UNIQUE (instance_id, environment, kind),
  CHECK ((status = 'released') = (released_at IS NOT NULL))
) STRICT;
CREATE INDEX instance_by_order  ON instance (order_id);
CREATE INDEX instance_by_status ON instance (status, expire_time) WHERE status <> 'released';

-- Every change of an instance, and what caused it.
CREATE TABLE instance_history (
  instance         INTEGER NOT NULL REFERENCES instance (id),
  serial           INTEGER NOT NULL,            -- 1, 2, 3 … per instance
  at               INTEGER NOT NULL,
  change           TEXT    NOT NULL,            -- created, ready, renewed, frozen, unfrozen, upgraded, supervised,
                                                -- licensed, uploaded, released; described: the order told what it is
  status           TEXT    NOT NULL,            -- after the change
  expire_time      INTEGER,                     -- after the change
  exchange         INTEGER,                     -- the call that caused it; outlives purged exchanges, so no reference
  job              INTEGER,                     -- the job that carried it out, if one did
  note             TEXT,                        -- or the operator's command; or what was remarkable
  PRIMARY KEY (instance, serial)
) STRICT, WITHOUT ROWID;

-- What a call means: calls of equal identity are one operation and take effect once. Rows are never deleted, so that a
-- retry after years still does nothing twice.
CREATE TABLE operation (
  id               INTEGER PRIMARY KEY,
  identity         TEXT    NOT NULL UNIQUE,     -- JSON array: environment, kind, verb, identity fields
  operation_id     TEXT    NOT NULL,            -- what the merchant's application sees, the same in every attempt
  instance         INTEGER NOT NULL REFERENCES instance (id),
  state            TEXT    NOT NULL CHECK (state = 'open' OR state = 'done' OR state = 'failed'),
                                                -- failed: the next call of this identity works on
  result_code      TEXT,                        -- of a done or failed operation
  result_message   TEXT,
  content_digest   BLOB    NOT NULL,            -- of the first request without what differs in every retry
  first_exchange   INTEGER NOT NULL,
  created_at       INTEGER NOT NULL,
  done_at          INTEGER
, order_id         TEXT                         /* that its first call named; NULL: none, or nobody knows */) STRICT;
CREATE INDEX operation_by_instance ON operation (instance);
CREATE INDEX operation_by_order ON operation (order_id) WHERE order_id IS NOT NULL;
-- Orders that are open, have failed, or were done only after KooGallery had given them up (three hours after the first
-- call): few rows, and what costs money is among them.
CREATE INDEX operation_slow ON operation (created_at) WHERE state <> 'done' OR done_at > created_at + 10800000;

-- The journal: one row for each authenticated call, numbered without gaps but for those that restore says.
CREATE TABLE exchange (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  received_at      INTEGER NOT NULL,
  duration_us      INTEGER,                     -- microseconds until the answer was ready to be committed
  environment      TEXT    NOT NULL CHECK (environment IN ('real', 'test')),
  family           TEXT    NOT NULL,
  activity         TEXT,                        -- NULL: the request named none that is known
  peer             TEXT    NOT NULL,
  access_key       TEXT    NOT NULL,            -- label of the access key that verified the call
  request_line     TEXT    NOT NULL,            -- method and target as received
  request_body     BLOB,                        -- as received; sealed where request_sealed is 1
  request_sealed   INTEGER NOT NULL DEFAULT 0 CHECK (request_sealed IN (0, 1)),  -- 1: it holds personal data
  order_id         TEXT,
  instance_id      TEXT,
  operation        INTEGER REFERENCES operation (id),
  result_code      TEXT,                        -- NULL: koogate stopped before it answered
  answer           BLOB,                        -- the body as sent, secrets blanked; NULL where the operation's answer tells it
  replayed         INTEGER NOT NULL DEFAULT 0 CHECK (replayed IN (0, 1)),
  difference       TEXT                         -- how a repeat differs from the first request: {"member":[first, now]}
, through_operation INTEGER NOT NULL DEFAULT 0  /* 1: its operation names the same order, and the row is found through
                                                it; 0: it is in exchange_by_order */
                   CHECK (through_operation = 0
                   OR through_operation = 1 AND operation IS NOT NULL AND order_id IS NOT NULL)) STRICT;
CREATE INDEX exchange_by_time     ON exchange (received_at);
CREATE INDEX exchange_of_tests    ON exchange (received_at) WHERE environment = 'test';
CREATE INDEX exchange_failed      ON exchange (received_at) WHERE result_code NOT IN ('000000', '000004');
-- What belongs to an operation is found through it. A call may be about anything that was ever sold: an index that begins
-- with that costs a page for each row, one that begins with the stretch (2,048 calls one after the other) does not. How to
-- look something up in it: src/store/stretch.rs.
CREATE INDEX exchange_by_operation ON exchange (id >> 11, operation) WHERE operation IS NOT NULL;
CREATE INDEX exchange_by_order    ON exchange (id >> 11, order_id) WHERE order_id IS NOT NULL AND through_operation = 0;
CREATE INDEX exchange_by_instance ON exchange (id >> 11, instance_id) WHERE instance_id IS NOT NULL AND operation IS NULL;

-- The final answer of an operation, per access key, byte for byte as every retry gets it.
CREATE TABLE answer (
  operation        INTEGER NOT NULL REFERENCES operation (id),
  access_key       TEXT    NOT NULL,
  body             BLOB    NOT NULL,            -- as sent; sealed where shown is not NULL
  shown            BLOB,                        -- the body with its secrets blanked; NULL: there are none in it
  body_sign        TEXT    NOT NULL,            -- value of the Body-Sign header
  exchange         INTEGER NOT NULL,            -- the call that got it first
  PRIMARY KEY (operation, access_key)
) STRICT, WITHOUT ROWID;

-- Work that goes on in the background and survives a crash.
CREATE TABLE job (
  id               INTEGER PRIMARY KEY,
  instance         INTEGER REFERENCES instance (id),   -- what it is about: an instance and the operation on it,
  operation        INTEGER REFERENCES operation (id),
  tenant           INTEGER REFERENCES tenant (id),     -- or a tenant's directory; none of them: an order alone
  order_id         TEXT,                        -- the order that KooGallery is asked for before anything else; NULL:
                                                -- there is none, or it has been read
  order_line_id    TEXT,                        -- its line
  order_product_id TEXT,                        -- the billing item, where the call named one
  state            TEXT    NOT NULL CHECK (state = 'waiting' OR state = 'running' OR state = 'done'
                           OR state = 'dead' OR state = 'cancelled'),
  task             TEXT    NOT NULL,            -- the event that the merchant's application is told, instance.create …;
                                                -- or license.upload: koogate hands a licence to KooGallery; or
                                                -- order.query: an order was announced, koogate reads it
  event_sealed     BLOB,                        -- the whole event, JSON; may hold personal data
  change           TEXT,                        -- JSON: what happens to the instance when it is done; NULL: it has happened
  attempt          INTEGER NOT NULL DEFAULT 0,  -- attempts begun
  run_at           INTEGER NOT NULL,            -- not before
  lease_until      INTEGER,                     -- running: nobody else may take it before
  last_error       TEXT,
  trying_since     INTEGER,                     -- since when attempts have been failing; NULL after "pending"
  created_at       INTEGER NOT NULL,
  finished_at      INTEGER,
  CHECK ((state = 'running') = (lease_until IS NOT NULL)),
  CHECK ((task = 'license.upload' OR task = 'order.query') = (event_sealed IS NULL)),
  CHECK ((instance IS NULL) = (operation IS NULL)),
  CHECK ((instance IS NOT NULL) + (tenant IS NOT NULL) + (task = 'order.query') = 1),
  CHECK (task <> 'order.query' OR order_id IS NOT NULL)
) STRICT;
CREATE INDEX job_due         ON job (run_at)       WHERE state = 'waiting';
CREATE INDEX job_unfinished  ON job (instance, id) WHERE state IN ('waiting', 'running');
CREATE INDEX job_running     ON job (lease_until)  WHERE state = 'running';
CREATE INDEX job_dead        ON job (instance)     WHERE state = 'dead';
CREATE INDEX job_dead_of_tenant ON job (tenant, id) WHERE tenant IS NOT NULL AND state = 'dead';
CREATE INDEX job_by_instance ON job (instance, id);
CREATE INDEX job_of_order    ON job (order_id)     WHERE order_id IS NOT NULL;
CREATE INDEX job_by_operation ON job (operation, id);
CREATE INDEX job_by_tenant   ON job (tenant, id) WHERE tenant IS NOT NULL;
CREATE INDEX job_ended_of_tenant ON job (finished_at) WHERE tenant IS NOT NULL AND state IN ('done', 'dead', 'cancelled');
CREATE INDEX job_unfinished_by_tenant ON job (tenant, id) WHERE tenant IS NOT NULL AND state IN ('waiting', 'running');

-- Orders as KooGallery told them when it was asked (order query). A newer answer replaces the older; old ones are purged.
CREATE TABLE order_info (
  order_id         TEXT    PRIMARY KEY,
  info_sealed      BLOB    NOT NULL,            -- the answer's orderInfo, JSON as it came; holds personal data
  order_type       TEXT,                        -- NEW, TRIAL, TRIAL_TO_FORMAL, RENEW, CHANGE, UNSUBSCRIBE …
  create_time      INTEGER,                     -- when it was placed
  fetched_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX order_info_by_time ON order_info (fetched_at);

-- Licences of the kinds license and license-online, one row for each that was asked for. Codes of kind license-code are
-- KooGallery's own: they are rows of instance.
CREATE TABLE license (
  id               INTEGER PRIMARY KEY,
  instance         INTEGER NOT NULL REFERENCES instance (id),
  operation        INTEGER NOT NULL UNIQUE REFERENCES operation (id),  -- the call that asked for it
  state            TEXT    NOT NULL CHECK (state = 'requested' OR state = 'refused' OR state = 'issued'
                           OR state = 'uploaded'),
                                                -- issued: it is made; kind license-online: its upload is a job
  event_id         TEXT,                        -- kind license-online: KooGallery's id of the request; the upload names it
  device_fingerprint TEXT,
  effective_time   INTEGER,
  expire_time      INTEGER,
  file_name        TEXT,                        -- NULL: a text
  content_sealed   BLOB,
  requested_at     INTEGER NOT NULL,
  issued_at        INTEGER,
  uploaded_at      INTEGER,
  CHECK ((state = 'issued' OR state = 'uploaded') = (content_sealed IS NOT NULL)),
  CHECK ((state = 'uploaded') = (uploaded_at IS NOT NULL))
) STRICT;
CREATE INDEX license_by_instance ON license (instance, id);
CREATE INDEX license_requested ON license (requested_at) WHERE state = 'requested';

-- The directory of joint-operation products (联营), as KooGallery tells it. Rows of tenants stay; the others go when
-- KooGallery removes them.

-- Enterprises that bought. domain_name and the names are NULL while others have named the tenant and it has not been told.
CREATE TABLE tenant (
  id               INTEGER PRIMARY KEY,
  tenant_id        TEXT    NOT NULL UNIQUE,     -- the wire's tenantId
  tenant_code      TEXT,                        -- directs a login to the tenant's domain
  name             TEXT,
  domain_name      TEXT,                        -- base of its OAuth addresses, https://…
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL
) STRICT;

-- Which instance is bound to which tenant.
CREATE TABLE tenant_binding (
  tenant           INTEGER NOT NULL REFERENCES tenant (id),
  instance_id      TEXT    NOT NULL,            -- '' while the seller applies for a credential
  order_id         TEXT,
  bound_at         INTEGER NOT NULL,
  PRIMARY KEY (tenant, instance_id)
) STRICT, WITHOUT ROWID;

-- The OAuth credentials of a tenant for an application.
CREATE TABLE application (
  tenant           INTEGER NOT NULL REFERENCES tenant (id),
  app_id           TEXT    NOT NULL,
  client_id        TEXT    NOT NULL,
  client_secret_sealed BLOB NOT NULL,
  updated_at       INTEGER NOT NULL,
  PRIMARY KEY (tenant, app_id)
) STRICT, WITHOUT ROWID;

-- Accounts that a tenant's administrator has authorised for an application.
CREATE TABLE user (
  tenant           INTEGER NOT NULL REFERENCES tenant (id),
  instance_id      TEXT    NOT NULL,
  app_id           TEXT    NOT NULL,
  user_name        TEXT    NOT NULL,            -- unique within the tenant only
  org_code         TEXT,
  role             TEXT,                        -- user or admin
  enabled          INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  authorised       INTEGER NOT NULL CHECK (authorised IN (0, 1)),  -- 0: the authorisation was taken, the user stays
  details_sealed   BLOB    NOT NULL,            -- JSON: name, mobile number, e-mail address and the rest
  updated_at       INTEGER NOT NULL,
  PRIMARY KEY (tenant, instance_id, app_id, user_name)
) STRICT, WITHOUT ROWID;
-- A login tells no instance. With the flags in it SQLite prefers it to the key, which would walk all users of the tenant.
CREATE INDEX user_by_name ON user (tenant, app_id, user_name, authorised, enabled);

-- Departments of a tenant.
CREATE TABLE department (
  tenant           INTEGER NOT NULL REFERENCES tenant (id),
  instance_id      TEXT    NOT NULL,
  org_code         TEXT    NOT NULL,
  org_name         TEXT,                        -- NULL: only named as a parent so far
  parent_code      TEXT,                        -- NULL: at the top
  stale            INTEGER NOT NULL DEFAULT 0 CHECK (stale IN (0, 1)),  -- missing from the last full list
  updated_at       INTEGER NOT NULL,
  PRIMARY KEY (tenant, instance_id, org_code)
) STRICT, WITHOUT ROWID;

-- Logins through KooGallery that the application was handed: what a refresh and a logout need. Old ones are purged.
CREATE TABLE login_session (
  id               INTEGER PRIMARY KEY,
  sid              TEXT    NOT NULL UNIQUE,     -- 128 random bits; who knows it may end the session
  tenant           INTEGER NOT NULL REFERENCES tenant (id),
  app_id           TEXT    NOT NULL,            -- the application whose credential was used
  user_name        TEXT    NOT NULL,
  refresh_token_sealed BLOB,                    -- the newest; NULL: the centre gave none, or refuses it by now
  created_at       INTEGER NOT NULL,
  refreshed_at     INTEGER,
  expires_at       INTEGER NOT NULL             -- forgotten then
) STRICT;
CREATE INDEX login_session_by_expiry ON login_session (expires_at);

-- Ready-made accounts or licence codes, handed out one by one.
CREATE TABLE stock_entry (
  id               INTEGER PRIMARY KEY,
  stock            TEXT    NOT NULL,            -- the name products refer to
  digest           BLOB    NOT NULL,            -- keyed digest of the entry: the same line is not imported twice
  front_end_url    TEXT,                        -- of an account; NULL: the entry is a licence code
  admin_url        TEXT,
  memo             TEXT,
  user_name_sealed BLOB,
  password_sealed  BLOB,
  license_sealed   BLOB,                        -- of a licence code
  imported_at      INTEGER NOT NULL,
  instance         INTEGER UNIQUE REFERENCES instance (id),  -- who has the account
  license          INTEGER UNIQUE REFERENCES license (id),   -- which licence the code became
  taken_at         INTEGER,                     -- NULL: nobody has it
  UNIQUE (stock, digest),
  CHECK ((front_end_url IS NULL) = (license_sealed IS NOT NULL)),
  CHECK ((taken_at IS NULL) = (instance IS NULL AND license IS NULL))
) STRICT;
CREATE INDEX stock_unused ON stock_entry (stock, id) WHERE taken_at IS NULL;

-- Access keys of the open API that KooGallery has refused: so that it does not lock one, nothing is called for a while.
CREATE TABLE open_api_refusal (
  access_key       TEXT    PRIMARY KEY,         -- label of the access key
  refusals         INTEGER NOT NULL,            -- in a row
  refused_at       INTEGER NOT NULL,            -- the last
  not_before       INTEGER NOT NULL,            -- the next call
  message          TEXT    NOT NULL             -- what KooGallery said
) STRICT, WITHOUT ROWID;

-- What KooGallery said last of an authorisation code (kind license-code), for licensed software that asks while KooGallery
-- cannot be asked. Old rows are purged.
CREATE TABLE license_heartbeat (
  license_code     TEXT    PRIMARY KEY,
  status           TEXT,                        -- ALIVE, EXPIRED or RELEASED; NULL: it refused the code
  activate_time    INTEGER,
  expire_time      INTEGER,
  product_name     TEXT,
  product_id       TEXT,
  refusal          TEXT,                        -- its code, 92020005 …
  refusal_message  TEXT,
  checked_at       INTEGER NOT NULL,
  CHECK ((refusal IS NULL) = (refusal_message IS NULL)),
  CHECK (status IS NULL OR refusal IS NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX license_heartbeat_by_age ON license_heartbeat (checked_at);

-- What on-demand instances have used, as the application reports it and KooGallery is told it: increments, one row for
-- each time. Old rows are purged when no report can overlap them any more; the totals stay.
CREATE TABLE usage_record (
  id               INTEGER PRIMARY KEY,
  metering_sn      TEXT    NOT NULL UNIQUE,     -- its id on the wire, the same in every attempt; 128 random bits
  instance         INTEGER NOT NULL REFERENCES instance (id),
  product_id       TEXT,                        -- of the instance when it was reported; the old interface names it
  begin_time       INTEGER NOT NULL,            -- whole seconds, all three
  end_time         INTEGER NOT NULL,
  record_time      INTEGER NOT NULL,            -- when it was reported; not before its end
  usage_value      TEXT    NOT NULL,            -- a decimal number, never a float
  relate_pkg_instance INTEGER REFERENCES instance (id),  -- the package that it is deducted from
  state            TEXT    NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'accepted', 'rejected')),
                                                -- rejected: it counts no more, its time may be reported anew
  due_at           INTEGER NOT NULL,            -- not sent before
  sent             INTEGER NOT NULL DEFAULT 0,  -- attempts begun
  result_code      TEXT,                        -- of a rejected record, without the prefix MKT.
  message          TEXT,                        -- KooGallery's words
  data             TEXT,                        -- the raw data of its answer
  finished_at      INTEGER,
  CHECK (begin_time <= end_time),
  CHECK ((state = 'waiting') = (finished_at IS NULL)),
  CHECK ((state = 'rejected') = (result_code IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX usage_record_window ON usage_record (instance, begin_time, end_time) WHERE state <> 'rejected';
CREATE INDEX usage_record_due      ON usage_record (due_at)             WHERE state = 'waiting';
CREATE INDEX usage_record_finished ON usage_record (state, finished_at) WHERE state <> 'waiting';

-- Running totals of the records that were not rejected, as queryInstance tells them.
CREATE TABLE usage_total (
  instance         INTEGER NOT NULL REFERENCES instance (id),  -- the on-demand instance, or the package
  used_by          INTEGER NOT NULL REFERENCES instance (id),  -- the on-demand instance; another one than instance: what
                                                -- was deducted for it from the package
  total            INTEGER NOT NULL,            -- ten-thousandths
  statistical_time INTEGER NOT NULL,            -- the latest end_time that was reported
  PRIMARY KEY (instance, used_by)
) STRICT, WITHOUT ROWID;

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

CREATE VIEW exchange_view AS
  SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000.0, 'unixepoch') AS received_at, duration_us, environment,
         family, activity, order_id, instance_id, result_code, replayed, difference, operation, peer
  FROM exchange;
CREATE VIEW instance_view AS
  SELECT instance_id, environment, kind, status, order_id, product_id,
         strftime('%Y-%m-%dT%H:%M:%SZ', expire_time / 1000, 'unixepoch') AS expire_time,
         strftime('%Y-%m-%dT%H:%M:%SZ', created_at / 1000, 'unixepoch') AS created_at
  FROM instance;
CREATE VIEW job_view AS
  SELECT job.id, instance.instance_id, tenant.tenant_id, job.order_id, job.task, job.state, job.attempt,
         strftime('%Y-%m-%dT%H:%M:%SZ', job.run_at / 1000, 'unixepoch') AS run_at, job.last_error
  FROM job LEFT JOIN instance ON instance.id = job.instance LEFT JOIN tenant ON tenant.id = job.tenant;
CREATE VIEW license_view AS
  SELECT license.id, instance.instance_id, instance.kind, license.state, license.event_id, license.device_fingerprint,
         license.file_name, strftime('%Y-%m-%dT%H:%M:%SZ', license.requested_at / 1000, 'unixepoch') AS requested_at,
         strftime('%Y-%m-%dT%H:%M:%SZ', license.issued_at / 1000, 'unixepoch') AS issued_at
  FROM license JOIN instance ON instance.id = license.instance;
CREATE VIEW usage_view AS
  SELECT usage_record.id, metering_sn, used.instance_id, usage_value, usage_record.state, sent, result_code, message,
         strftime('%Y-%m-%dT%H:%M:%SZ', begin_time / 1000, 'unixepoch') AS begin_time,
         strftime('%Y-%m-%dT%H:%M:%SZ', end_time / 1000, 'unixepoch') AS end_time,
         strftime('%Y-%m-%dT%H:%M:%SZ', due_at / 1000, 'unixepoch') AS due_at, package.instance_id AS relate_pkg_instance
  FROM usage_record JOIN instance AS used ON used.id = usage_record.instance
  LEFT JOIN instance AS package ON package.id = usage_record.relate_pkg_instance;
CREATE VIEW restore_view AS
  SELECT id, strftime('%Y-%m-%dT%H:%M:%SZ', restored_at / 1000, 'unixepoch') AS restored_at,
         strftime('%Y-%m-%dT%H:%M:%SZ', copy_at / 1000, 'unixepoch') AS copy_at, last_exchange,
         strftime('%Y-%m-%dT%H:%M:%SZ', last_exchange_at / 1000, 'unixepoch') AS last_exchange_at, skipped, replaced
  FROM restore;
CREATE VIEW alert_view AS
  SELECT id, kind, subject, strftime('%Y-%m-%dT%H:%M:%SZ', since / 1000, 'unixepoch') AS since, times,
         strftime('%Y-%m-%dT%H:%M:%SZ', last_met / 1000, 'unixepoch') AS last_met,
         strftime('%Y-%m-%dT%H:%M:%SZ', ended_at / 1000, 'unixepoch') AS ended_at, alarm
  FROM alert;
