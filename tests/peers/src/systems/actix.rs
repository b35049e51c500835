//! actix: actors on arbiters, one thread each.

use crate::peer::{Peer, Place, measure as measure_peer};
use crate::workload::{Sample, Sizes, Workload};
use actix::prelude::{Actor, Addr, Arbiter, AsyncContext, Context, Handler, Message, ResponseFuture, System};
use actix::{ActorContext, ArbiterHandle};
use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

#[derive(Default)]
pub(super) struct Sink(u64);

#[derive(Message)]
#[rtype(result = "()")]
struct Add(u64);

#[derive(Message)]
#[rtype(result = "u64")]
struct Ask(u64);

#[derive(Message)]
#[rtype(result = "u64")]
struct Total;

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Handler<Add> for Sink {
    type Result = ();
    fn handle(&mut self, message: Add, _: &mut Context<Self>) {
        self.0 = self.0.wrapping_add(message.0);
    }
}

impl Handler<Ask> for Sink {
    type Result = u64;
    fn handle(&mut self, message: Ask, _: &mut Context<Self>) -> u64 {
        message.0 + 1
    }
}

impl Handler<Total> for Sink {
    type Result = u64;
    fn handle(&mut self, _: Total, _: &mut Context<Self>) -> u64 {
        self.0
    }
}

pub(super) struct Player(Addr<Sink>);

impl Actor for Player {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Rally(u64);

impl Handler<Rally> for Player {
    type Result = ResponseFuture<u64>;
    fn handle(&mut self, rally: Rally, _: &mut Context<Self>) -> ResponseFuture<u64> {
        let partner = self.0.clone();
        Box::pin(async move {
            let mut answered = 0;
            for value in 0..rally.0 {
                answered += u64::from(partner.send(Ask(value)).await.is_ok_and(|a| a == value + 1));
            }
            answered
        })
    }
}

enum Parent {
    Branch(Addr<Branch>),
    Root(Option<oneshot::Sender<u64>>),
}

/// A node of the tree.
struct Branch {
    parent: Parent,
    first: u64,
    leaves: u64,
    missing: u32,
    sum: u64,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Sum(u64);

impl Branch {
    fn grow(parent: Parent, first: u64, leaves: u64) {
        Branch { parent, first, leaves, missing: 10, sum: 0 }.start();
    }
}

impl Actor for Branch {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        if self.leaves == 1 {
            if let Parent::Branch(parent) = &self.parent {
                parent.do_send(Sum(self.first));
            }
            context.stop();
            return;
        }
        let below = self.leaves / 10;
        for child in 0..10 {
            Branch::grow(Parent::Branch(context.address()), self.first + child * below, below);
        }
    }
}

impl Handler<Sum> for Branch {
    type Result = ();
    fn handle(&mut self, sum: Sum, context: &mut Context<Self>) {
        self.sum += sum.0;
        self.missing -= 1;
        if self.missing == 0 {
            match &mut self.parent {
                Parent::Branch(parent) => parent.do_send(Sum(self.sum)),
                Parent::Root(root) => drop(root.take().map(|root| root.send(self.sum))),
            }
            context.stop();
        }
    }
}

/// Two arbiters besides the one that the measurement runs on.
struct Actix {
    arbiters: [ArbiterHandle; 2],
}

impl Peer for Actix {
    type Sink = Addr<Sink>;
    type Player = Addr<Player>;

    async fn sink(&self, _: u64, place: Place) -> Result<Addr<Sink>> {
        Ok(match place {
            Place::Beside | Place::Anywhere => Sink::default().start(),
            Place::Apart => Sink::start_in_arbiter(&self.arbiters[0], |_| Sink::default()),
        })
    }

    async fn tell(sink: &Addr<Sink>, value: u64) {
        sink.do_send(Add(value));
    }

    async fn ask(sink: &Addr<Sink>, value: u64) -> Result<u64> {
        Ok(sink.send(Ask(value)).await?)
    }

    async fn total(sink: &Addr<Sink>) -> Result<u64> {
        Ok(sink.send(Total).await?)
    }

    /// Each pair on an arbiter of its own.
    async fn player(&self, number: u64) -> Result<Addr<Player>> {
        let arbiter = &self.arbiters[usize::try_from(number)? % 2];
        let partner = Sink::start_in_arbiter(arbiter, |_| Sink::default());
        Ok(Player::start_in_arbiter(arbiter, |_| Player(partner)))
    }

    async fn rally(player: Addr<Player>, calls: u64) -> Result<u64> {
        Ok(player.send(Rally(calls)).await?)
    }

    async fn skynet(&self, leaves: u64) -> Result<u64> {
        let (root, sum) = oneshot::channel();
        Branch::grow(Parent::Root(Some(root)), 0, leaves);
        sum.await.context("the tree ended without a sum")
    }

    /// On the system's own thread: a task of actix need not be `Send`, and stays where it began.
    fn task<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        actix::spawn(task)
    }
}

pub(super) fn measure(workload: Workload, sizes: &Sizes) -> Result<Vec<Sample>> {
    let sizes = *sizes;
    System::new().block_on(async move {
        let arbiters = [Arbiter::new().handle(), Arbiter::new().handle()];
        let peer = Actix { arbiters };
        actix::spawn(async move { measure_peer(&peer, workload, &sizes).await }).await?
    })
}
