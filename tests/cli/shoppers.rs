//! Shoppers who order over HTTP from three nodes whose addresses they know, and write down what becomes of everything
//! they ask for.

use crate::stage::{json, try_post_within};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::time::Instant;

/// So many at the same time.
const SHOPPERS: usize = 8;
/// How long each of them thinks before the next visit, or before an order is placed again.
const PAUSE: Duration = Duration::from_millis(50);
/// A call is answered within 5 s, says the gateway; for so long an answer is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(6);
/// For so long an order is placed again of which is not known whether it was charged.
const ORDER_LIMIT: Duration = Duration::from_secs(30);
/// Whoever has taken an order in spite of the reset has charged it by then.
const STRAY_WITHIN: Duration = Duration::from_millis(500);
/// A node that did not answer is asked only if no other takes the connection for so long.
const AVOIDED_FOR: Duration = Duration::from_secs(2);
/// Of so many orders one is paid by a card that is declined.
const DECLINED: usize = 25;
const SKUS: [&str; 8] = ["teapot", "teacup", "kettle", "strainer", "assam", "sencha", "honey", "biscuits"];

/// How something that was asked for has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As it should: with an answer of the shop, which may be that a card was declined.
    Answered,
    /// It was not executed, or nothing was charged, as the answer says.
    Refused(String),
    /// Nobody knows whether it was executed, as the answer says.
    Unknown(String),
    /// The connection was reset: nobody had taken it from the system, or its node has died.
    Reset,
    /// The node had taken the connection, and ended it in the middle of an answer, or without one.
    Cut,
    /// No answer came in time.
    Silence,
}

impl End {
    /// Whether it may have been executed, for all that is known.
    fn is_in_doubt(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::Reset | Self::Cut | Self::Silence)
    }
}

/// Something that a node was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// Of the node in the list of addresses.
    pub(crate) node: usize,
    pub(crate) what: String,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) end: End,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is paid: so many cents.
    Confirmed(u64),
    /// Nothing was charged: the card was declined, a shelf was empty, or it was not executed.
    NotCharged,
    /// It was placed again and again, and nobody knows.
    InDoubt,
}

/// An order and its fate.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) number: String,
    pub(crate) fate: Fate,
    /// It was charged although each of its connections had been reset until then, so that nobody can have taken it.
    pub(crate) is_stray: bool,
}

/// All that shoppers have written down.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) orders: Vec<Order>,
}

enum Record {
    Attempt(Attempt),
    Order(Order),
}

/// They come again and again until they are told to go home.
pub(crate) struct Crowd {
    log: Log,
    records: Receiver<Record>,
    shoppers: Vec<(Sender<()>, JoinHandle<()>)>,
}

impl Crowd {
    /// They come.
    pub(crate) fn enter(nodes: &[String; 3], book: &Path) -> Self {
        let (write, records) = channel();
        let shopper = |number| {
            let (go_home, home) = channel();
            let shopper = Shopper {
                number,
                nodes: nodes.clone(),
                book: book.into(),
                avoided: None,
                asked: number,
                write: write.clone(),
                home,
            };
            (go_home, thread::Builder::new().spawn(|| shopper.come_again()).expect("a thread"))
        };
        Self { log: Log::default(), records, shoppers: (0..SHOPPERS).map(shopper).collect() }
    }

    /// Until that time they are watched.
    pub(crate) fn watch_until(&mut self, time: Instant) -> &Log {
        while let Ok(record) = self.records.recv_timeout(time.saturating_duration_since(Instant::now())) {
            self.log.note(record);
        }
        &self.log
    }

    /// For so long they are watched.
    pub(crate) fn watch(&mut self, time: Duration) -> &Log {
        self.watch_until(Instant::now() + time)
    }

    /// Each of them comes to the end of an order, and goes home.
    pub(crate) fn go_home(mut self) -> Log {
        let (tell, homes): (Vec<_>, Vec<_>) = self.shoppers.into_iter().unzip();
        drop(tell);
        for record in self.records {
            self.log.note(record);
        }
        homes.into_iter().for_each(|home| home.join().expect("what a node answers is understood"));
        self.log
    }
}

impl Log {
    fn note(&mut self, record: Record) {
        match record {
            Record::Attempt(attempt) => self.attempts.push(attempt),
            Record::Order(order) => self.orders.push(order),
        }
    }
}

struct Shopper {
    number: usize,
    nodes: [String; 3],
    /// The bank's.
    book: PathBuf,
    /// A node that did not answer, and when.
    avoided: Option<(usize, Instant)>,
    /// How often somebody was asked: each time another node.
    asked: usize,
    write: Sender<Record>,
    home: Receiver<()>,
}

impl Shopper {
    fn come_again(mut self) {
        for visit in 0.. {
            if !self.pauses() {
                return;
            }
            let sku = SKUS[(self.number + visit) % SKUS.len()];
            self.ask(&format!("/v1/catalog/{sku}/find"), "{}");
            let order = self.buy(visit, sku);
            self.note(Record::Order(order));
        }
    }

    /// Thinks. False: it is time to go home.
    fn pauses(&self) -> bool {
        self.home.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout)
    }

    fn note(&self, record: Record) {
        // whose test has failed does not want to know
        let _ = self.write.send(record);
    }

    /// Places an order, again as long as it may have been charged: its number makes that harmless.
    fn buy(&mut self, visit: usize, sku: &str) -> Order {
        let number = format!("s{}-{visit}", self.number);
        let quantity = 1 + visit % 3;
        let card = if visit % DECLINED == DECLINED - 1 { "4000000000000002" } else { "4242424242424242" };
        let line = serde_json::json!({ "sku": sku, "quantity": quantity });
        let body = serde_json::json!({ "order": number, "lines": [line], "card": card }).to_string();
        let limit = Instant::now() + ORDER_LIMIT;
        let (mut in_doubt, mut was_taken, mut is_stray) = (false, false, false);
        let fate = loop {
            let (end, status, answer) = self.ask("/v1/checkout/place", &body);
            was_taken |= end != End::Reset;
            if !was_taken {
                let _ = self.home.recv_timeout(STRAY_WITHIN);
                is_stray |= self.is_charged(&number);
            }
            match status {
                Some(200) => {
                    break Fate::Confirmed(json(&answer)["receipt"]["cents"].as_u64().expect("an amount"));
                }
                // the shop looks first whether the order is paid
                Some(402) => break Fate::NotCharged,
                Some(409) => drop(self.ask(&format!("/v1/catalog/{sku}/restock"), r#"{"quantity":500}"#)),
                _ => {}
            }
            in_doubt |= end.is_in_doubt();
            if !in_doubt {
                break Fate::NotCharged;
            }
            if Instant::now() > limit {
                break Fate::InDoubt;
            }
            self.pauses();
        };
        Order { number, fate, is_stray }
    }

    fn is_charged(&self, order: &str) -> bool {
        let book = std::fs::read_to_string(&self.book).unwrap_or_default();
        book.contains(&format!(r#""order":"{order}""#))
    }

    /// Asks the first node that takes the connection. Answers how that ended, and the answer if there was one.
    fn ask(&mut self, path: &str, body: &str) -> (End, Option<u16>, String) {
        self.asked += 1;
        self.avoided = self.avoided.filter(|(_, since)| since.elapsed() < AVOIDED_FOR);
        let mut order: Vec<_> =
            (0..self.nodes.len()).map(|at| (self.asked + at) % self.nodes.len()).collect();
        order.sort_by_key(|at| self.avoided.is_some_and(|(avoided, _)| avoided == *at));
        let begun = Instant::now();
        for node in order {
            let begun_here = Instant::now();
            let Some(done) = try_post_within(PATIENCE, &self.nodes[node], path, body) else { continue };
            let (end, status, answer) = match done {
                Ok((status, answer)) => (end(status, &answer), Some(status), answer),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    (End::Silence, None, String::new())
                }
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    (End::Reset, None, String::new())
                }
                Err(_) => (End::Cut, None, String::new()),
            };
            if status.is_none() {
                self.avoided = Some((node, Instant::now()));
            }
            let ended = Instant::now();
            let what = path.to_owned();
            self.note(Record::Attempt(Attempt { node, what, begun: begun_here, ended, end: end.clone() }));
            return (end, status, answer);
        }
        let end = End::Refused("nobody takes the connection".into());
        let (what, ended) = (path.to_owned(), Instant::now());
        self.note(Record::Attempt(Attempt { node: 0, what, begun, ended, end: end.clone() }));
        (end, None, String::new())
    }
}

/// What an answer says of what was asked for.
fn end(status: u16, answer: &str) -> End {
    if status == 200 {
        return End::Answered;
    }
    let problem = json(answer);
    let detail = || format!("{status} {}", problem["detail"].as_str().unwrap_or_default());
    match (problem["outcome"].as_str(), problem["error"]["error"].as_str()) {
        (Some("failed"), Some("card-declined" | "out-of-stock")) => End::Answered,
        (Some("not-executed"), _) | (Some("failed"), Some("unavailable")) => End::Refused(detail()),
        (Some("unknown"), _) | (Some("failed"), Some("in-doubt")) => End::Unknown(detail()),
        _ => panic!("{status} {answer}"),
    }
}
