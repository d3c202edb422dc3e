//! What upbeat costs and how quickly it answers, measured on the Redis at hand: `upbeat bench`.
//!
//! Every bench works in a namespace of its own and removes it when it is done. It reads `INFO`, which counts for the whole
//! server: on a Redis that others use its figures are too high. Where Redis has a limit of its own, it is measured in the same
//! run, and the figure is told as a ratio, which holds on any machine; times of the clock do not.
//!
//! A budget holds for the size that it was made for: that of a whole run, or of a quick one. At others a figure stands alone; what
//! must never be, such as a fire that is lost, is judged at any.
//!
//! Budgets that were made in microseconds of Redis' CPU stand for a machine where a pipelined pair of `ZADD` and `XADD` takes
//! 2.1 us; on a slower one they grow with what a pair takes there.

mod apply;
mod bed;
mod burst;
mod children;
mod claim;
mod contention;
mod failover;
mod figure;
mod fleet;
mod idle;
mod instants;
mod lag;
mod life;
mod load;
mod memory;
mod saturation;

pub use apply::ApplyBench;
pub use bed::Bed;
pub use burst::BurstBench;
pub use claim::ClaimBench;
pub use contention::ContentionBench;
pub use failover::FailoverBench;
pub use figure::{Budget, Figure};
pub use idle::IdleBench;
pub use lag::LagBench;
pub use life::LifeBench;
pub use memory::MemoryBench;

/// Redis CPU of a native pair, `ZADD` and `XADD` in a pipeline of 100 pairs, on the machine that the budgets were made for, us.
const NATIVE_US: f64 = 2.1;

/// A budget in us of CPU, as it is where a native pair takes `native_us`: never less than it was made for.
fn scaled(budget: f64, native_us: f64) -> f64 {
    budget * (native_us / NATIVE_US).max(1.0)
}

/// What one of so many cost, us.
fn us_per(cpu_s: f64, count: usize) -> f64 {
    cpu_s * 1e6 / count.max(1) as f64
}
