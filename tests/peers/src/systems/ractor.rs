//! ractor, as its documentation uses it.

use crate::peer::{Peer, Place};
use crate::workload::{Sample, Sizes, Workload};
use anyhow::{Context, Result, anyhow};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::time::Duration;
use tokio::sync::oneshot;

/// The deadline of each call, where calls have one; Odeon's default.
const TIMEOUT_MS: u64 = 5_000;

struct Sink;

pub(super) enum SinkMessage {
    Add(u64),
    Ask(u64, RpcReplyPort<u64>),
    Total(RpcReplyPort<u64>),
}

impl Actor for Sink {
    type Msg = SinkMessage;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<SinkMessage>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<SinkMessage>,
        message: SinkMessage,
        sum: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SinkMessage::Add(value) => *sum = sum.wrapping_add(value),
            SinkMessage::Ask(value, reply) => drop(reply.send(value + 1)),
            SinkMessage::Total(reply) => drop(reply.send(*sum)),
        }
        Ok(())
    }
}

struct Player;

pub(super) struct Rally {
    calls: u64,
    reply: RpcReplyPort<u64>,
}

impl Actor for Player {
    type Msg = Rally;
    type State = ActorRef<SinkMessage>;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Rally>, (): ()) -> Result<Self::State, ActorProcessingErr> {
        Ok(Actor::spawn(None, Sink, ()).await?.0)
    }

    async fn handle(
        &self,
        _: ActorRef<Rally>,
        rally: Rally,
        partner: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let mut answered = 0;
        for value in 0..rally.calls {
            answered += u64::from(ractor::call!(partner, SinkMessage::Ask, value)? == value + 1);
        }
        let _ = rally.reply.send(answered);
        Ok(())
    }
}

/// A node of the tree.
struct Branch;

enum Parent {
    Branch(ActorRef<u64>),
    Root(Option<oneshot::Sender<u64>>),
}

struct Seed {
    parent: Parent,
    first: u64,
    leaves: u64,
}

struct Growth {
    seed: Seed,
    missing: u32,
    sum: u64,
}

impl Actor for Branch {
    type Msg = u64;
    type State = Growth;
    type Arguments = Seed;

    async fn pre_start(&self, _: ActorRef<u64>, seed: Seed) -> Result<Growth, ActorProcessingErr> {
        Ok(Growth { seed, missing: 10, sum: 0 })
    }

    async fn post_start(&self, me: ActorRef<u64>, growth: &mut Growth) -> Result<(), ActorProcessingErr> {
        let Seed { parent, first, leaves } = &growth.seed;
        if *leaves == 1 {
            if let Parent::Branch(parent) = parent {
                parent.cast(*first)?;
            }
            me.stop(None);
            return Ok(());
        }
        let below = leaves / 10;
        for child in 0..10 {
            let seed =
                Seed { parent: Parent::Branch(me.clone()), first: first + child * below, leaves: below };
            Actor::spawn(None, Branch, seed).await?;
        }
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<u64>,
        sum: u64,
        growth: &mut Growth,
    ) -> Result<(), ActorProcessingErr> {
        growth.sum += sum;
        growth.missing -= 1;
        if growth.missing == 0 {
            match &mut growth.seed.parent {
                Parent::Branch(parent) => parent.cast(growth.sum)?,
                Parent::Root(root) => drop(root.take().map(|root| root.send(growth.sum))),
            }
            me.stop(None);
        }
        Ok(())
    }
}

/// `TIMEOUT`: whether calls have one.
struct Ractor<const TIMEOUT: bool>;

impl<const TIMEOUT: bool> Peer for Ractor<TIMEOUT> {
    type Sink = ActorRef<SinkMessage>;
    type Player = ActorRef<Rally>;

    async fn sink(&self, _: u64, _: Place) -> Result<Self::Sink> {
        let (sink, _) = Actor::spawn(None, Sink, ()).await.map_err(|e| anyhow!("{e}"))?;
        Ok(sink)
    }

    async fn tell(sink: &Self::Sink, value: u64) {
        let _ = sink.cast(SinkMessage::Add(value));
    }

    async fn ask(sink: &Self::Sink, value: u64) -> Result<u64> {
        if TIMEOUT {
            let within = Some(Duration::from_millis(TIMEOUT_MS));
            let result = sink.call(|reply| SinkMessage::Ask(value, reply), within).await;
            return result.map_err(|_| anyhow!("not sent"))?.success_or(anyhow!("no answer"));
        }
        ractor::call!(sink, SinkMessage::Ask, value).map_err(|e| anyhow!("{e}"))
    }

    async fn total(sink: &Self::Sink) -> Result<u64> {
        ractor::call!(sink, SinkMessage::Total).map_err(|e| anyhow!("{e}"))
    }

    async fn player(&self, _: u64) -> Result<Self::Player> {
        let (player, _) = Actor::spawn(None, Player, ()).await.map_err(|e| anyhow!("{e}"))?;
        Ok(player)
    }

    async fn rally(player: Self::Player, calls: u64) -> Result<u64> {
        ractor::call!(player, |reply| Rally { calls, reply }).map_err(|e| anyhow!("{e}"))
    }

    async fn skynet(&self, leaves: u64) -> Result<u64> {
        let (root, sum) = oneshot::channel();
        let seed = Seed { parent: Parent::Root(Some(root)), first: 0, leaves };
        Actor::spawn(None, Branch, seed).await.map_err(|e| anyhow!("{e}"))?;
        sum.await.context("the tree ended without a sum")
    }
}

pub(super) fn measure<const TIMEOUT: bool>(
    runtime: &mut tokio::runtime::Builder,
    workload: Workload,
    sizes: &Sizes,
) -> Result<Vec<Sample>> {
    super::run(runtime, Ractor::<TIMEOUT>, workload, sizes)
}
