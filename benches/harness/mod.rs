//! What the benchmarks share: the calls and the generator that sends them, the servers that are measured, the machine,
//! pictures. What is measured with it, and how it is told, belongs to each benchmark.

#![allow(dead_code, reason = "no benchmark uses all of it")]

pub mod calls;
pub mod generator;
pub mod line;
pub mod machine;
pub mod server;
pub mod svg;
