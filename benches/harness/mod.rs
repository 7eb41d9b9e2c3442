//! What the benchmarks share: the calls and the generator that sends them, the servers that are measured, the machine.
//! What is measured with it, and how it is told, belongs to each benchmark.

pub mod calls;
pub mod generator;
pub mod machine;
pub mod server;
