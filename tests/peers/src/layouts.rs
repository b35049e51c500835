//! The three ways to spread a node over threads: what the decision record compares.

use crate::executors::Executors;
use crate::services::{AddingRef, GreeterRef, Polite, Sink, tell_waiting, total};
use crate::time::Stopwatch;
use crate::workload::{Metric, Sample, Sizes};
use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use odeon::core::outcome::Overflow;
use odeon::directory::ServiceKind;
use odeon::host::{Executor, Host, Inline};
use odeon::prelude::App;
use odeon::{Node, NodeConfig, ServiceOptions};
use odeon_actors::gateway::{Gateway, GatewayConfig};
use std::net::SocketAddr;
use std::sync::Arc;

/// Where cells run and where input and output run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// Both on one executor.
    One,
    /// Cells on one executor, connections on another.
    IoApart,
    /// One executor for each of two cores, each with cells and connections.
    PerCore,
}

/// What a layout is measured with. What sends and asks runs where connections run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Two senders, each to an entity on its own thread.
    TellBeside,
    /// Two senders, each to an entity on another thread.
    TellApart,
    /// A hundred senders to one entity.
    FanIn,
    /// Sixty-four callers of one entity.
    Ask64,
    /// Sixty-four callers of a stateless service.
    Ask64Service,
}

impl Work {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
    }
}

impl Layout {
    /// Its name on the command line and in tables.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
    }

    /// Whether the layout has such work.
    pub fn has(self, work: Work) -> bool {
        match work {
            Work::TellBeside => self != Self::IoApart,
            Work::TellApart => self != Self::One,
            _ => true,
        }
    }

    /// Serves HTTP in this process until it is killed.
    ///
    /// # Errors
    /// The node does not start, or cannot listen.
    pub fn serve(self, address: SocketAddr) -> Result<()> {
        let (executors, _) = self.executors()?;
        let list = executors.list.clone();
        let served = executors.run(0, async move {
            let laid = Laid::out(self, &list).await?;
            let config = GatewayConfig { address, ..GatewayConfig::default() };
            let lookup = Arc::new(laid.node.clone());
            let gateway = Gateway::start_with(&laid.edge, lookup, 1, config).await?;
            std::future::pending::<()>().await;
            drop(gateway);
            Ok(())
        });
        drop(executors);
        served
    }

    /// Does the work in this process.
    ///
    /// # Errors
    /// The work was not done as it should be.
    pub fn measure(self, work: Work, sizes: &Sizes) -> Result<Vec<Sample>> {
        let (executors, edge) = self.executors()?;
        let (list, sizes) = (executors.list.clone(), *sizes);
        let sample = executors.run(edge, async move {
            let laid = Laid::out(self, &list).await?;
            match work {
                Work::TellBeside => laid.tell(Metric::TellBeside, 0, sizes.tell).await,
                Work::TellApart => laid.tell(Metric::TellApart, 1, sizes.tell).await,
                Work::FanIn => laid.fan_in(sizes.fan_in).await,
                Work::Ask64 => laid.ask_entity(sizes.ask_each).await,
                Work::Ask64Service => laid.ask_service(sizes.ask_each).await,
            }
        })?;
        std::mem::forget(executors);
        Ok(vec![sample])
    }

    /// The executors, and which of them carries connections first.
    fn executors(self) -> Result<(Executors, usize)> {
        let count = if self == Self::One { 1 } else { 2 };
        Ok((Executors::start(count)?, usize::from(self == Self::IoApart)))
    }
}

/// A node that is laid out.
struct Laid {
    node: Node,
    /// Where connections, senders and callers run.
    edge: Vec<Executor>,
}

impl Laid {
    async fn out(layout: Layout, list: &[Executor]) -> Result<Self> {
        let (cells, edge) = match layout {
            Layout::One | Layout::PerCore => (list.to_vec(), list.to_vec()),
            Layout::IoApart => (vec![list[0].clone()], vec![list[1].clone()]),
        };
        let host = Host { executors: cells, blocking: Arc::new(Inline), seed: 1 };
        // a sender on another thread than the receiver had better wait for room than try again and again
        let mut waiting = ServiceOptions::of(ServiceKind::Entity);
        waiting.mailbox.overflow = Overflow::Wait;
        let app = App::new()
            .entity_with("sink", waiting, Sink::default)
            .service("greeter", Polite::default)
            .entity("keyed-greeter", Polite::default);
        Ok(Self { node: Node::start(host, NodeConfig::named("bench".parse()?), app).await?, edge })
    }

    /// An entity on a thread. An entity that is called from outside is placed by its key: tries some.
    async fn sink_on(&self, executor: usize, name: &str) -> Result<AddingRef> {
        let wanted = Executors::thread_name(executor);
        for attempt in 0..100 {
            let sink: AddingRef = self.node.entity("sink", &format!("{name}.{attempt}"))?;
            if sink.thread().await? == wanted {
                return Ok(sink);
            }
        }
        bail!("no key leads to {wanted}")
    }

    /// Two senders at the edge. `step` is how far from its sender the entity is, in executors of the node.
    async fn tell(&self, metric: Metric, step: usize, count: u64) -> Result<Sample> {
        let cells = self.node.executors().len();
        let mut pairs = Vec::new();
        for number in 0..2 {
            let executor = (number % self.edge.len() + step) % cells;
            pairs.push((number, self.sink_on(executor, &number.to_string()).await?));
        }
        let watch = Stopwatch::start();
        let senders: Vec<_> = pairs
            .into_iter()
            .map(|(number, sink)| {
                self.edge[number % self.edge.len()].spawn(async move {
                    for value in 0..count {
                        tell_waiting(&sink, value).await?;
                        if value % 64 == 63 {
                            tokio::task::consume_budget().await;
                        }
                    }
                    total(&sink).await
                })
            })
            .collect();
        for sender in senders {
            ensure!(sender.await?? == count * (count - 1) / 2, "messages were lost");
        }
        Ok(Sample::new(metric, watch.millions_per_second(2 * count)))
    }

    async fn fan_in(&self, each: u64) -> Result<Sample> {
        let sink = self.sink_on(0, "fan-in").await?;
        let watch = Stopwatch::start();
        let sends = |sink: AddingRef| async move {
            for value in 0..each {
                tell_waiting(&sink, value).await?;
                if value % 64 == 63 {
                    tokio::task::yield_now().await;
                }
            }
            Ok(())
        };
        self.together(Sizes::SENDERS, || sends(sink.clone())).await?;
        ensure!(total(&sink).await? == Sizes::SENDERS * (each * (each - 1) / 2), "messages were lost");
        Ok(Sample::new(Metric::FanIn, watch.millions_per_second(Sizes::SENDERS * each)))
    }

    async fn ask_entity(&self, each: u64) -> Result<Sample> {
        let sink = self.sink_on(0, "asked").await?;
        let watch = Stopwatch::start();
        let asks = |sink: AddingRef| async move {
            for value in 0..each {
                ensure!(sink.ask(value).await? == value + 1);
            }
            Ok(())
        };
        self.together(Sizes::CALLERS, || asks(sink.clone())).await?;
        Ok(Sample::new(Metric::Ask64, watch.millions_per_second(Sizes::CALLERS * each)))
    }

    async fn ask_service(&self, each: u64) -> Result<Sample> {
        let greeter: GreeterRef = self.node.service("greeter")?;
        ensure!(greeter.greet("Ada".into()).await? == "Hello, Ada");
        let watch = Stopwatch::start();
        let asks = |greeter: GreeterRef| async move {
            for _ in 0..each {
                ensure!(greeter.greet(String::new()).await?.len() == 7);
            }
            Ok(())
        };
        self.together(Sizes::CALLERS, || asks(greeter.clone())).await?;
        Ok(Sample::new(Metric::Ask64Service, watch.millions_per_second(Sizes::CALLERS * each)))
    }

    /// So many tasks, spread over the edge.
    async fn together<F: Future<Output = Result<()>> + Send + 'static>(
        &self,
        count: u64,
        task: impl Fn() -> F,
    ) -> Result<()> {
        let tasks: Vec<_> =
            self.edge.iter().cycle().zip(0..count).map(|(edge, _)| edge.spawn(task())).collect();
        for task in tasks {
            task.await??;
        }
        Ok(())
    }
}
