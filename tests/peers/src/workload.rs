//! What is measured: the local workloads, their sizes, and the numbers that come out.

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};

/// A workload between actors of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Workload {
    /// One task sends to one actor, until the actor has handled the last message.
    Tell,
    /// A hundred tasks send to one actor.
    FanIn,
    /// Two pairs: in each, the handler of one actor asks the other again and again. Message and answer both
    /// count. (A ball passed on for ever would be refused by Odeon: a chain has at most 16 hops.)
    PingPong,
    /// One task asks one actor again and again.
    Ask,
    /// Sixty-four tasks ask one actor.
    Ask64,
    /// An actor is made and asked once; then it stays, idle.
    Spawn,
    /// Ten children each, a million leaves; each of the 1,111,111 nodes is an actor, the sum comes back up.
    Skynet,
}

impl Workload {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
    }
}

/// How much of each workload is done.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Messages of one sender.
    pub tell: u64,
    /// Messages of each of the [`Sizes::SENDERS`] of fan-in.
    pub fan_in: u64,
    /// Calls of each pair.
    pub rally: u64,
    /// Calls of a lone caller.
    pub ask: u64,
    /// Calls of each of [`Sizes::CALLERS`].
    pub ask_each: u64,
    /// Actors made and left idle.
    pub spawn: u64,
    /// Leaves of the tree: a power of ten.
    pub leaves: u64,
}

impl Sizes {
    /// Senders of fan-in.
    pub const SENDERS: u64 = 100;
    /// Callers at the same time.
    pub const CALLERS: u64 = 64;

    /// For numbers.
    pub const FULL: Self = Self {
        tell: 3_000_000,
        fan_in: 30_000,
        rally: 300_000,
        ask: 200_000,
        ask_each: 12_500,
        spawn: 200_000,
        leaves: 1_000_000,
    };

    /// To see that everything runs.
    pub const QUICK: Self = Self {
        tell: 200_000,
        fan_in: 2_000,
        rally: 10_000,
        ask: 10_000,
        ask_each: 500,
        spawn: 10_000,
        leaves: 10_000,
    };

    /// One of the two.
    pub fn of(quick: bool) -> Self {
        if quick { Self::QUICK } else { Self::FULL }
    }
}

/// What a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Messages from one sender, M/s.
    Tell,
    /// Messages from a hundred senders, M/s.
    FanIn,
    /// Messages and answers of two pairs, M/s.
    PingPong,
    /// Median time of a lone call, ns.
    AskMedian,
    /// 99th percentile of a lone call, ns.
    AskP99,
    /// Calls of 64 callers, M/s.
    Ask64,
    /// Actors made and asked once, M/s.
    Spawn,
    /// Resident memory of an idle actor, bytes.
    IdleBytes,
    /// Time of the tree, ms.
    Skynet,
    /// Most resident memory while the tree stood, MB.
    SkynetPeak,
    /// Messages of two senders, each to an actor on its own thread, M/s.
    TellBeside,
    /// Messages of two senders, each to an actor on another thread, M/s.
    TellApart,
    /// Calls of 64 callers to a stateless service, M/s.
    Ask64Service,
    /// Requests to a stateless service answered, K/s.
    ServiceRequests,
    /// CPU time of the server for each of them, µs.
    ServiceCpu,
    /// Requests to 64 entities answered, K/s.
    EntityRequests,
    /// CPU time of the server for each of them, µs.
    EntityCpu,
    /// Requests answered, K/s.
    Requests,
    /// Median latency of a request, µs.
    LatencyMedian,
    /// 99th percentile of the latency of a request, µs.
    LatencyP99,
    /// CPU time of the server for each request, µs.
    CpuPerRequest,
    /// Messages of 64 bytes from one sender to one receiver in another process, M/s.
    Cast,
    /// The same with bodies of 1 KiB, M/s.
    Cast1k,
    /// The same with 64 bytes to a hundred receivers in turn, M/s.
    CastMany,
    /// Median time of a lone call to another process, µs.
    LinkAskMedian,
    /// 99th percentile of it, µs.
    LinkAskP99,
    /// Calls of 64 callers to another process, K/s.
    LinkAsk64,
    /// Messages of 64 KiB that go on meanwhile, K/s.
    ControlFlood,
    /// 99th percentile of a critical call beside them, ms.
    ControlP99,
    /// 99th percentile of a watch that is answered beside them, ms.
    ControlStreamP99,
    /// Share of the rate to one receiver that is lost while another one is blocked, percent.
    BlockedLoss,
}

impl Metric {
    /// For a table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Tell => "tell, M/s",
            Self::FanIn => "fan-in 100→1, M/s",
            Self::PingPong => "2 ping-pong pairs, M msg/s",
            Self::AskMedian => "ask p50, ns",
            Self::AskP99 => "ask p99, ns",
            Self::Ask64 => "ask, 64 callers, M/s",
            Self::Spawn => "spawn + first ask, M/s",
            Self::IdleBytes => "bytes per idle actor",
            Self::Skynet => "Skynet 1 M, ms",
            Self::SkynetPeak => "Skynet peak, MB",
            Self::TellBeside => "tell, 2 senders, same thread, M/s",
            Self::TellApart => "tell, 2 senders, other thread, M/s",
            Self::Ask64Service => "ask, 64 callers to a service, M/s",
            Self::ServiceRequests => "HTTP to a service, K/s",
            Self::ServiceCpu => "its CPU, µs/request",
            Self::EntityRequests => "HTTP to 64 entities, K/s",
            Self::EntityCpu => "their CPU, µs/request",
            Self::Requests => "requests, K/s",
            Self::LatencyMedian => "p50, µs",
            Self::LatencyP99 => "p99, µs",
            Self::CpuPerRequest => "server CPU, µs/request",
            Self::Cast => "cast 64 B, M/s",
            Self::Cast1k => "cast 1 KiB, M/s",
            Self::CastMany => "cast 64 B to 100 receivers, M/s",
            Self::LinkAskMedian => "ask p50, µs",
            Self::LinkAskP99 => "ask p99, µs",
            Self::LinkAsk64 => "ask, 64 callers, K/s",
            Self::ControlFlood => "cast 64 KiB, K/s",
            Self::ControlP99 => "critical ask meanwhile, p99, ms",
            Self::ControlStreamP99 => "watch and its answer meanwhile, p99, ms",
            Self::BlockedLoss => "lost beside a blocked receiver, %",
        }
    }

    /// Whether one system's number can be divided by another's. A difference that may be zero cannot.
    pub fn has_ratio(self) -> bool {
        self != Self::BlockedLoss
    }

    /// Digits after the point that mean something.
    pub fn digits(self) -> usize {
        match self {
            Self::AskMedian
            | Self::AskP99
            | Self::IdleBytes
            | Self::Skynet
            | Self::SkynetPeak
            | Self::LatencyMedian
            | Self::LatencyP99
            | Self::LinkAskP99
            | Self::LinkAsk64 => 0,
            Self::Ask64
            | Self::Ask64Service
            | Self::Spawn
            | Self::ServiceCpu
            | Self::EntityCpu
            | Self::CpuPerRequest
            | Self::Cast
            | Self::Cast1k
            | Self::CastMany
            | Self::ControlP99
            | Self::ControlStreamP99 => 2,
            _ => 1,
        }
    }
}

/// One number.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// What it says.
    pub metric: Metric,
    /// In the unit of its metric.
    pub value: f64,
}

impl Sample {
    /// A number.
    pub fn new(metric: Metric, value: f64) -> Self {
        Self { metric, value }
    }

    /// Reads what a program has printed: a metric and a value on each line.
    ///
    /// # Errors
    /// A line that is something else.
    pub fn read_all(printed: &str) -> Result<Vec<Self>> {
        let line = |line: &str| {
            let (metric, value) = line.split_once(' ').with_context(|| format!("no number: {line}"))?;
            let name = IntoDeserializer::<serde::de::value::Error>::into_deserializer(metric);
            Ok(Self::new(Metric::deserialize(name)?, value.parse()?))
        };
        printed.lines().map(line).collect()
    }
}
