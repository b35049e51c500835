//! A task behind a tokio channel: what one gets without an actor library.

use crate::peer::{Peer, Place};
use crate::workload::{Sample, Sizes, Workload};
use anyhow::{Context, Result};
use std::marker::PhantomData;
use tokio::sync::{mpsc, oneshot};

/// A kind of channel.
pub(super) trait Channel: Send + Sync + 'static {
    type Sender: Clone + Send + Sync + 'static;
    type Receiver: Send + 'static;
    fn channel() -> (Self::Sender, Self::Receiver);
    fn send(sender: &Self::Sender, message: Message) -> impl Future<Output = ()> + Send;
    fn receive(receiver: &mut Self::Receiver) -> impl Future<Output = Option<Message>> + Send;
}

/// Without a bound.
pub(super) struct Unbounded;

/// Room for as many messages as Odeon's default mailbox; senders wait.
pub(super) struct Bounded;

impl Channel for Unbounded {
    type Sender = mpsc::UnboundedSender<Message>;
    type Receiver = mpsc::UnboundedReceiver<Message>;

    fn channel() -> (Self::Sender, Self::Receiver) {
        mpsc::unbounded_channel()
    }

    async fn send(sender: &Self::Sender, message: Message) {
        let _ = sender.send(message);
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<Message> {
        receiver.recv().await
    }
}

impl Channel for Bounded {
    type Sender = mpsc::Sender<Message>;
    type Receiver = mpsc::Receiver<Message>;

    fn channel() -> (Self::Sender, Self::Receiver) {
        mpsc::channel(1024)
    }

    async fn send(sender: &Self::Sender, message: Message) {
        let _ = sender.send(message).await;
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<Message> {
        receiver.recv().await
    }
}

pub(super) enum Message {
    Add(u64),
    Ask(u64, oneshot::Sender<u64>),
    Total(oneshot::Sender<u64>),
}

pub(super) struct Tokio<C>(PhantomData<C>);

impl<C: Channel> Tokio<C> {
    fn start() -> C::Sender {
        let (sender, mut receiver) = C::channel();
        tokio::spawn(async move {
            let mut sum = 0_u64;
            while let Some(message) = C::receive(&mut receiver).await {
                match message {
                    Message::Add(value) => sum = sum.wrapping_add(value),
                    Message::Ask(value, reply) => drop(reply.send(value + 1)),
                    Message::Total(reply) => drop(reply.send(sum)),
                }
            }
        });
        sender
    }
}

/// The one that asks and the one that is asked.
pub(super) struct Pair<C: Channel> {
    rally: mpsc::UnboundedSender<(u64, oneshot::Sender<u64>)>,
    _partner: PhantomData<C>,
}

impl<C: Channel> Peer for Tokio<C> {
    type Sink = C::Sender;
    type Player = Pair<C>;

    async fn sink(&self, _: u64, _: Place) -> Result<C::Sender> {
        Ok(Self::start())
    }

    async fn tell(sink: &C::Sender, value: u64) {
        C::send(sink, Message::Add(value)).await;
    }

    async fn ask(sink: &C::Sender, value: u64) -> Result<u64> {
        let (reply, answer) = oneshot::channel();
        C::send(sink, Message::Ask(value, reply)).await;
        Ok(answer.await?)
    }

    async fn total(sink: &C::Sender) -> Result<u64> {
        let (reply, answer) = oneshot::channel();
        C::send(sink, Message::Total(reply)).await;
        Ok(answer.await?)
    }

    async fn player(&self, _: u64) -> Result<Pair<C>> {
        let (rally, mut rallies) = mpsc::unbounded_channel::<(u64, oneshot::Sender<u64>)>();
        let partner = Self::start();
        tokio::spawn(async move {
            while let Some((calls, reply)) = rallies.recv().await {
                let mut answered = 0;
                for value in 0..calls {
                    answered += u64::from(Self::ask(&partner, value).await.is_ok_and(|a| a == value + 1));
                }
                let _ = reply.send(answered);
            }
        });
        Ok(Pair { rally, _partner: PhantomData })
    }

    async fn rally(player: Pair<C>, calls: u64) -> Result<u64> {
        let (reply, answer) = oneshot::channel();
        player.rally.send((calls, reply)).ok().context("the player ended")?;
        Ok(answer.await?)
    }

    async fn skynet(&self, leaves: u64) -> Result<u64> {
        let (root, mut sum) = mpsc::unbounded_channel();
        grow(root, 0, leaves);
        sum.recv().await.context("the tree ended without a sum")
    }
}

fn grow(parent: mpsc::UnboundedSender<u64>, first: u64, leaves: u64) {
    tokio::spawn(async move {
        // a leaf is an actor too: it has a mailbox
        let (own, mut sums) = mpsc::unbounded_channel();
        if leaves == 1 {
            let _ = parent.send(first);
            return;
        }
        let below = leaves / 10;
        for child in 0..10 {
            grow(own.clone(), first + child * below, below);
        }
        let mut total = 0;
        for _ in 0..10 {
            total += sums.recv().await.unwrap_or_default();
        }
        let _ = parent.send(total);
    });
}

pub(super) fn measure<C: Channel>(
    runtime: &mut tokio::runtime::Builder,
    workload: Workload,
    sizes: &Sizes,
) -> Result<Vec<Sample>> {
    super::run(runtime, Tokio::<C>(PhantomData), workload, sizes)
}
