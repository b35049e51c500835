//! The fault model: every misfortune the world can hold ready, as one printable value derived from the seed.

use odeon_simulator_os::Stream;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Everything that shapes one simulation. Two runs of the same program with equal options are equal.
///
/// [`Options::from_seed`] draws all of it, the intensity included; [`Options::calm`] is a world without
/// faults for tests that bring their own. `Debug` prints every field, so that a failure can be told whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// The seed of every random choice of the simulation.
    pub seed: u64,
    /// Latency, loss and the like of packets between hosts.
    pub network: NetworkOptions,
    /// Durability and failures of the virtual disks.
    pub disks: DiskOptions,
    /// Processors and clocks of the hosts.
    pub machines: MachineOptions,
}

/// What happens to packets between two hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkOptions {
    /// Least one-way latency.
    pub latency_min: Duration,
    /// Greatest one-way latency of a packet that is not delayed on top. Two datagrams of one pair may arrive
    /// in either order when their latencies say so.
    pub latency_max: Duration,
    /// Probability that a datagram is lost, or that a TCP segment needs one more retransmission.
    pub loss: f64,
    /// Probability that a datagram arrives twice.
    pub duplication: f64,
    /// Probability that a datagram is held back by up to `reordering_max`, so that later ones overtake it.
    pub reordering: f64,
    /// Greatest delay of a datagram that is held back.
    pub reordering_max: Duration,
    /// Bytes that one host can send per second; `None` is without bound.
    pub bandwidth: Option<u64>,
    /// First wait of TCP before a segment is sent again; it doubles with each attempt (RFC 6298).
    pub retransmission_min: Duration,
    /// Greatest wait of TCP between two attempts.
    pub retransmission_max: Duration,
    /// How long TCP retries unacknowledged bytes before the connection fails with `ETIMEDOUT` (RFC 5482).
    pub timeout_user: Duration,
    /// Bytes that each end of a TCP connection buffers per direction (send and receive alike).
    pub buffer_max: usize,
}

/// What happens to bytes written to a virtual disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiskOptions {
    /// Least time that one fsync takes; the process that calls it is blocked meanwhile.
    pub sync_min: Duration,
    /// Greatest time that one fsync takes.
    pub sync_max: Duration,
    /// POSIX to the letter: the fsync of a file does not persist its name, only the directory's does.
    /// Otherwise as ext4: a file's fsync persists its directory entries too.
    pub strict_names: bool,
    /// Probability that an fsync fails with `EIO`.
    pub sync_failure: f64,
    /// fsync answers success and persists nothing (a lying disk: a control that tests must catch).
    pub sync_lies: bool,
    /// Bytes that one host can store before writes fail with `ENOSPC`; `None` is without bound.
    pub capacity: Option<u64>,
}

/// Processors and clocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineOptions {
    /// Least number of executors (single-threaded runtimes) of a host.
    pub executors_min: usize,
    /// Greatest number of executors of a host.
    pub executors_max: usize,
    /// Least CPU time charged for one turn (from the moment an executor wakes until it parks again).
    pub turn_min: Duration,
    /// Greatest CPU time charged for one turn.
    pub turn_max: Duration,
    /// Probability that a host is slow: each of its turns then costs up to `slow_factor_max` times as much.
    pub slow: f64,
    /// Greatest factor of a slow host.
    pub slow_factor_max: u64,
    /// CPU time of one reading of a clock. With zero the clock stands still inside a turn, and a busy-wait is
    /// reported as a livelock; with more, it ends and delays its own host only.
    pub clock_read: Duration,
    /// Greatest deviation of a host's clocks from true time, in parts per million, in either direction.
    pub drift_ppm_max: i64,
    /// Greatest offset of a host's wall clock, in either direction.
    pub skew_max: Duration,
}

impl Options {
    /// The options of this seed: a world somewhere between peaceful and hostile.
    ///
    /// One seed in four is calm but for latency; the others have each fault with an intensity of their own,
    /// so that faults are met alone as well as together. The disks never lie and never fill up on their own:
    /// these are faults that a scenario asks for.
    pub fn from_seed(seed: u64) -> Options {
        let mut draw = Stream::new(seed, "options");
        let mut options = Options::calm(seed);
        options.machines.executors_max = draw.between(1, 3) as usize;
        options.machines.executors_min = 1;
        options.network.latency_min = micros(draw.between(50, 1_000));
        options.network.latency_max = options.network.latency_min + micros(draw.between(50, 20_000));
        options.machines.turn_min = micros(draw.between(1, 5));
        options.machines.turn_max = options.machines.turn_min + micros(draw.between(0, 20));
        options.disks.sync_min = micros(draw.between(20, 500));
        options.disks.sync_max = options.disks.sync_min + micros(draw.between(0, 10_000));
        options.disks.strict_names = draw.chance(0.5);
        if draw.chance(0.25) {
            return options;
        }
        if draw.chance(0.6) {
            options.network.loss = draw.unit() * 0.05;
        }
        if draw.chance(0.4) {
            options.network.duplication = draw.unit() * 0.05;
        }
        if draw.chance(0.4) {
            options.network.reordering = draw.unit() * 0.1;
            options.network.reordering_max = micros(draw.between(1_000, 100_000));
        }
        if draw.chance(0.3) {
            options.network.bandwidth = Some(draw.between(1_000_000, 125_000_000));
        }
        if draw.chance(0.4) {
            options.machines.slow = draw.unit() * 0.5;
            options.machines.slow_factor_max = draw.between(2, 50);
        }
        if draw.chance(0.5) {
            options.machines.drift_ppm_max = draw.between(1, 200) as i64;
            options.machines.skew_max = Duration::from_millis(draw.between(0, 5_000));
        }
        options
    }

    /// A world without faults: one executor a host, 0.3 to 2 ms of latency, 1 Gbit/s, exact clocks, sound disks.
    pub fn calm(seed: u64) -> Options {
        Options {
            seed,
            network: NetworkOptions::default(),
            disks: DiskOptions::default(),
            machines: MachineOptions::default(),
        }
    }
}

impl Default for NetworkOptions {
    fn default() -> NetworkOptions {
        NetworkOptions {
            latency_min: micros(300),
            latency_max: micros(2_000),
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            reordering_max: Duration::from_millis(20),
            bandwidth: Some(125_000_000),
            retransmission_min: Duration::from_millis(200),
            retransmission_max: Duration::from_secs(120),
            timeout_user: Duration::from_secs(20),
            buffer_max: 256 * 1024,
        }
    }
}

impl Default for DiskOptions {
    fn default() -> DiskOptions {
        DiskOptions {
            sync_min: micros(50),
            sync_max: micros(500),
            strict_names: false,
            sync_failure: 0.0,
            sync_lies: false,
            capacity: None,
        }
    }
}

impl Default for MachineOptions {
    fn default() -> MachineOptions {
        MachineOptions {
            executors_min: 1,
            executors_max: 1,
            turn_min: micros(1),
            turn_max: micros(20),
            slow: 0.0,
            slow_factor_max: 1,
            clock_read: Duration::ZERO,
            drift_ppm_max: 0,
            skew_max: Duration::ZERO,
        }
    }
}

/// Short for the unit in which most of these options are told.
fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}
