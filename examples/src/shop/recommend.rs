//! `recommend`: stateless, nice to have. A shop that cannot recommend still sells.

use odeon::prelude::*;
use serde::{Deserialize, Serialize};

/// What goes with what.
#[odeon::contract(name = "recommend", version = "1.0")]
pub trait Recommend {
    /// What others bought together with these articles, the best first.
    #[read]
    async fn also_bought(
        &self,
        cx: &Cx,
        skus: Vec<String>,
        #[serde(default = "three")] most: u32,
    ) -> Result<Vec<String>, RecommendError>;
}

fn three() -> u32 {
    3
}

/// Why there is no recommendation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "error")]
pub enum RecommendError {
    /// What it is computed from cannot be reached.
    #[error("recommendations are not available now")]
    Unavailable,
}

impl ContractError for RecommendError {
    fn retry(&self) -> Retry {
        Retry::Later
    }

    fn status(&self) -> u16 {
        503
    }
}

/// What the service is told: the table `[services.recommend]`. It can be told to be slow and to fail, to see how
/// the shop takes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mood {
    /// How long an answer takes, in milliseconds.
    pub delay_ms: u64,
    /// How many of the answers are failures, from 0 to 1.
    pub failing: f64,
}

/// Articles that were bought together, and how often in a hundred carts.
const TOGETHER: [(&str, &str, u32); 10] = [
    ("teapot", "teacup", 61),
    ("teapot", "strainer", 35),
    ("teapot", "assam", 22),
    ("teacup", "biscuits", 30),
    ("kettle", "teapot", 18),
    ("kettle", "sencha", 27),
    ("assam", "honey", 24),
    ("assam", "biscuits", 33),
    ("sencha", "strainer", 16),
    ("honey", "biscuits", 12),
];

/// Recommends by what was bought together.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    mood: Mood,
}

impl Neighbours {
    /// In a mood.
    ///
    /// # Errors
    /// The share of failures is no share.
    pub async fn start(_: Cx, mood: Mood) -> Result<Self, StartError> {
        if !(0.0..=1.0).contains(&mood.failing) {
            return Err(StartError::new(format_args!("failing is {}: expected 0 to 1", mood.failing)));
        }
        Ok(Self { mood })
    }

    fn rank(skus: &[String], most: u32) -> Vec<String> {
        let mut scores: Vec<(u32, &str)> = Vec::new();
        for (left, right, score) in TOGETHER {
            for (have, other) in [(left, right), (right, left)] {
                let wanted = skus.iter().any(|s| s == have) && !skus.iter().any(|s| s == other);
                match scores.iter_mut().find(|(_, sku)| *sku == other) {
                    Some(known) if wanted => known.0 += score,
                    None if wanted => scores.push((score, other)),
                    _ => {}
                }
            }
        }
        scores.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        scores.into_iter().take(most as usize).map(|(_, sku)| sku.to_string()).collect()
    }
}

#[odeon::service]
impl Recommend for Neighbours {
    async fn also_bought(
        &self,
        cx: &Cx,
        skus: Vec<String>,
        most: u32,
    ) -> Result<Vec<String>, RecommendError> {
        if self.mood.delay_ms > 0 {
            cx.sleep(Duration::from_millis(self.mood.delay_ms)).await;
        }
        if self.mood.failing > 0.0 && cx.random(|random| random.chance(self.mood.failing)) {
            return Err(RecommendError::Unavailable);
        }
        Ok(Self::rank(&skus, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_bought_together_most_often_comes_first_and_nothing_that_is_in_the_cart() {
        let cart = |skus: &[&str]| skus.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(Neighbours::rank(&cart(&["teapot"]), 2), ["teacup", "strainer"]);
        assert_eq!(Neighbours::rank(&cart(&["teapot", "assam"]), 2), ["teacup", "strainer"]);
        assert_eq!(Neighbours::rank(&cart(&["assam", "honey"]), 9), ["biscuits", "teapot"]);
        assert!(Neighbours::rank(&cart(&["unknown"]), 9).is_empty());
    }
}
