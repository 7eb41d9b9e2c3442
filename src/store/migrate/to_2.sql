-- Version 2: restores are recorded.

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
  replaced         TEXT                         -- what the database that was there is kept as; NULL: there was none, or
                                                -- the copy was put there by hand
) STRICT;

CREATE VIEW restore_view AS
  SELECT id, strftime('%Y-%m-%dT%H:%M:%SZ', restored_at / 1000, 'unixepoch') AS restored_at,
         strftime('%Y-%m-%dT%H:%M:%SZ', copy_at / 1000, 'unixepoch') AS copy_at, last_exchange,
         strftime('%Y-%m-%dT%H:%M:%SZ', last_exchange_at / 1000, 'unixepoch') AS last_exchange_at, skipped, replaced
  FROM restore;
