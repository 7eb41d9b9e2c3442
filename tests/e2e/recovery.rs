//! Recovery: databases of older schemas, copies that go out of date, and what is known after a copy took the place of a
//! lost database.

mod ages;
mod drill;
mod fixtures;
mod gap;
mod migration;
