//! A market publishes its prices, and boards anywhere in the cluster show them. Try
//! `cargo run -p odeon-examples --example prices -- up`, and then, as it is told there,
//! `prices call board#hall show`, `prices call market set '{"cents":125}'`, `prices topics price`.
use odeon::prelude::*;

/// What boards are told.
#[odeon::contract(name = "board", version = "1.0")]
trait Board {
    /// There is another price.
    #[cast]
    async fn changed(&mut self, cx: &Cx, cents: u64);
    /// The last one that it has heard.
    #[read]
    async fn show(&self, cx: &Cx) -> Option<u64>;
}

/// Where prices are made.
#[odeon::contract(name = "market", version = "1.0")]
trait Market {
    /// Sets the price, and answers how many boards were told.
    async fn set(&self, cx: &Cx, cents: u64) -> usize;
}

struct Display {
    cents: Option<u64>,
}

impl Display {
    async fn start(cx: Cx) -> Result<Self, StartError> {
        cx.join::<BoardRef>("price")?;
        Ok(Self { cents: None })
    }
}

#[odeon::service]
impl Board for Display {
    async fn changed(&mut self, _: &Cx, cents: u64) {
        self.cents = Some(cents);
    }
    async fn show(&self, _: &Cx) -> Option<u64> {
        self.cents
    }
}

#[derive(Default)]
struct Exchange;

#[odeon::service]
impl Market for Exchange {
    async fn set(&self, cx: &Cx, cents: u64) -> usize {
        let boards: Topic<BoardRef> = cx.topic("price").expect("it is a name");
        let published = boards.publish(|board| board.changed(cents)).await;
        for (board, refusal) in &published.refused {
            tracing::warn!(node = %board.node, %refusal, "a board does not hear of a price");
        }
        published.told
    }
}

fn main() -> odeon_daemon::Exit {
    odeon_daemon::main(|app| app.entity("board", Display::start).service("market", Exchange::default))
}
