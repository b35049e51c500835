//! A keyed entity: counts, one counter for each key, and keeps its count while it is passivated.

use odeon::prelude::*;

/// Counts under a key.
#[odeon::contract(name = "counter", version = "1.0")]
pub trait Counter {
    /// Adds an amount, which may be negative. Answers the new value.
    async fn add(&mut self, cx: &Cx, amount: i64) -> Result<i64, CountError>;

    /// The value.
    #[read]
    async fn value(&self, cx: &Cx) -> i64;

    /// Back to zero. Answers the value before.
    async fn reset(&mut self, cx: &Cx) -> i64;
}

/// Why a counter did not count.
#[derive(
    Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case", tag = "error")]
pub enum CountError {
    /// The sum does not fit 64 bits. The value is unchanged.
    #[error("{value} + {amount} does not fit 64 bits")]
    Overflow {
        /// The value, unchanged.
        value: i64,
        /// What was to be added.
        amount: i64,
    },
}

impl ContractError for CountError {
    fn status(&self) -> u16 {
        409
    }
}

/// One counter.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    value: i64,
}

impl Tally {
    /// From where the previous activation of this key left off, or from zero.
    ///
    /// # Errors
    /// What the previous activation left is no count.
    pub async fn start(cx: Cx) -> Result<Self, StartError> {
        let Some(bytes) = cx.restored() else { return Ok(Self::default()) };
        let bytes = <[u8; 8]>::try_from(&*bytes)
            .map_err(|_| StartError::new(format_args!("expected 8 bytes of count, found {}", bytes.len())))?;
        Ok(Self { value: i64::from_le_bytes(bytes) })
    }
}

#[odeon::service]
impl Counter for Tally {
    async fn add(&mut self, _: &Cx, amount: i64) -> Result<i64, CountError> {
        let value = self.value;
        self.value = value.checked_add(amount).ok_or(CountError::Overflow { value, amount })?;
        Ok(self.value)
    }

    async fn value(&self, _: &Cx) -> i64 {
        self.value
    }

    async fn reset(&mut self, _: &Cx) -> i64 {
        std::mem::take(&mut self.value)
    }

    async fn passivate(&mut self, _: &Cx) -> Vec<u8> {
        self.value.to_le_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use odeon::ServiceOptions;
    use odeon::directory::ServiceKind;
    use odeon::test::Bench;

    #[tokio::test]
    async fn a_counter_counts_and_begins_again() {
        let counter = Bench::new().host_entity("counter", "apples", Tally::start).await;
        assert_eq!(counter.add(2).await, Ok(2));
        assert_eq!(counter.add(-5).await, Ok(-3));
        assert_eq!(counter.value().await, Ok(-3));
        assert_eq!(counter.reset().await, Ok(-3));
        assert_eq!(counter.value().await, Ok(0));
    }

    #[tokio::test]
    async fn counters_of_different_keys_know_nothing_of_each_other() {
        let apples = Bench::new().host_entity("counter", "apples", Tally::start).await;
        let pears: CounterRef = apples.node().entity("counter", "pears").expect("it is registered");
        assert_eq!(apples.add(2).await, Ok(2));
        assert_eq!(pears.value().await, Ok(0));
    }

    #[tokio::test]
    async fn a_sum_that_does_not_fit_is_refused_and_changes_nothing() {
        let counter = Bench::new().host_entity("counter", "apples", Tally::start).await;
        assert_eq!(counter.add(i64::MAX).await, Ok(i64::MAX));
        let refused = counter.add(1).await;
        assert_eq!(refused, Err(CallError::Failed(CountError::Overflow { value: i64::MAX, amount: 1 })));
        assert_eq!(counter.value().await, Ok(i64::MAX));
    }

    #[tokio::test]
    async fn a_counter_that_was_put_aside_goes_on_where_it_was() {
        let idle = Some(Duration::from_millis(1));
        let options = ServiceOptions { passivate_after: idle, ..ServiceOptions::of(ServiceKind::Entity) };
        let bench = Bench::new().options(options);
        let counter = bench.host_entity("counter", "apples", Tally::start).await;
        assert_eq!(counter.add(2).await, Ok(2));
        let passivated = async {
            loop {
                let tree = counter.node().tree(10).await;
                if !format!("{tree:?}").contains("\"apples\"") {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, passivated).await.expect("it is passivated once it is idle");
        assert_eq!(counter.add(1).await, Ok(3));
    }
}
