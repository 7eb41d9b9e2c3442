//! The calls of an order, an instance, an operation: the parts of statements that find their numbers.
//!
//! A call may be about whatever was sold in all the years. In an index that begins with that, each new row falls on a page of
//! its own, which must be read and written, and there are the more of them the longer the journal is. So the journal's
//! indexes begin with the stretch: `id >> 11`, 2,048 calls recorded one after the other. New rows fall on the few pages of
//! the newest stretch whatever they are about, and a purge takes the oldest stretches whole. Who looks for something looks
//! it up in every stretch: some microseconds for each, and ten million calls have 4,883.
//!
//! Not here: listings along the time or the numbers. The macros are there for every module of the store.

/// Begins a statement with `stretches`, those of the calls from the number `$from` to before the number `$before`, oldest
/// first.
macro_rules! with_stretches {
    ($from:expr, $before:expr) => {
        concat!(
            "WITH RECURSIVE stretches (stretch) AS (SELECT (SELECT id FROM exchange WHERE id >= ",
            $from,
            " ORDER BY id LIMIT 1) >> 11 UNION ALL SELECT stretch + 1 FROM stretches \
             WHERE stretch < (SELECT id FROM exchange WHERE id < ",
            $before,
            " ORDER BY id DESC LIMIT 1) >> 11) "
        )
    };
}

/// Calls from the number `$from` to before the number `$before`.
macro_rules! within {
    ($from:expr, $before:expr) => {
        concat!("exchange.id >= ", $from, " AND exchange.id < ", $before)
    };
}

/// From `stretches`, the calls of each `operation` that stands before.
macro_rules! calls_of_operations {
    () => {
        "CROSS JOIN stretches CROSS JOIN exchange INDEXED BY exchange_by_operation \
         ON exchange.id >> 11 = stretches.stretch AND exchange.operation = operation.id"
    };
}

/// From `stretches`, the calls that name the instance `?1` and belong to no operation.
macro_rules! calls_naming_instance {
    () => {
        "stretches CROSS JOIN exchange INDEXED BY exchange_by_instance ON exchange.id >> 11 = stretches.stretch \
         AND exchange.instance_id = ?1 AND exchange.operation IS NULL"
    };
}

/// The numbers of the calls that name the order `?1`, with others of operations that name it, so that the order is to be
/// asked for as well.
macro_rules! of_order {
    ($from:expr, $before:expr) => {
        concat!(
            "(",
            with_stretches!($from, $before),
            "SELECT exchange.id FROM operation INDEXED BY operation_by_order ",
            calls_of_operations!(),
            " WHERE operation.order_id = ?1 AND ",
            within!($from, $before),
            " UNION ALL SELECT exchange.id FROM stretches CROSS JOIN exchange INDEXED BY exchange_by_order \
             ON exchange.id >> 11 = stretches.stretch AND exchange.order_id = ?1 AND through_operation = 0 WHERE ",
            within!($from, $before),
            ") AND +exchange.order_id = ?1"
        )
    };
}

/// The numbers of the calls of operations on the instance `?1`, and of those that only name it.
macro_rules! of_instance {
    ($from:expr, $before:expr) => {
        concat!(
            "(",
            with_stretches!($from, $before),
            "SELECT exchange.id FROM instance CROSS JOIN operation ON operation.instance = instance.id ",
            calls_of_operations!(),
            " WHERE instance.instance_id = ?1 AND ",
            within!($from, $before),
            " UNION ALL SELECT exchange.id FROM ",
            calls_naming_instance!(),
            " WHERE ",
            within!($from, $before),
            ")"
        )
    };
}

/// The numbers of the calls of the operation `?1`.
macro_rules! of_operation {
    ($from:expr, $before:expr) => {
        concat!(
            "(",
            with_stretches!($from, $before),
            "SELECT exchange.id FROM operation ",
            calls_of_operations!(),
            " WHERE operation.id = ?1 AND ",
            within!($from, $before),
            ")"
        )
    };
}
