//! Topics as the management interface shows them.

use crate::client::PATIENCE;
use crate::management::Stage;
use odeon::prelude::*;
use odeon_actors::management::api::{TopicDetail, Topics};

/// Is told.
#[odeon::contract(name = "ear", version = "1.3")]
trait Ear {
    /// Something.
    #[cast]
    async fn hear(&self, cx: &Cx, number: u64);
    /// Nothing.
    async fn ping(&self, cx: &Cx);
}

struct Listening;

impl Listening {
    async fn start(cx: Cx) -> Result<Self, StartError> {
        cx.join::<EarRef>("news/weather")?;
        Ok(Self)
    }
}

#[odeon::service]
impl Ear for Listening {
    async fn hear(&self, _: &Cx, _: u64) {}
    async fn ping(&self, _: &Cx) {}
}

#[tokio::test]
async fn a_topic_is_shown_with_its_members() {
    let mut stage = Stage::new().await;
    assert!(stage.read::<Topics>("/api/v1/topics").await.topics.is_empty());
    let app = App::new().singleton("porter", Listening::start).entity("ear", Listening::start);
    stage.node.add_services(app).await.expect("they are new");
    let ear: EarRef = stage.node.entity("ear", "left").expect("a name");
    ear.ping().await.expect("it is there");
    let topic: Topic<EarRef> = stage.node.topic("news/weather").expect("a name");
    let mut changes = topic.changes();
    let both = async { while changes.next().await.len() < 2 {} };
    tokio::time::timeout(PATIENCE, both).await.expect("both are members");
    let topics = stage.read::<Topics>("/api/v1/topics").await.topics;
    let seen: Vec<_> = topics.iter().map(|t| (&*t.name, &*t.contract, &*t.version, t.members)).collect();
    assert_eq!(seen, [("news/weather", "ear", "1.3", 2)]);
    let topic: TopicDetail = stage.read("/api/v1/topics/news.weather").await;
    let members = topic.members.iter().map(|m| (&*m.service, m.key.as_deref(), &*m.node));
    assert_eq!(members.collect::<Vec<_>>(), [("ear", Some("left"), "test"), ("porter", None, "test")]);
    stage.get("/api/v1/topics/weather").await.problem(404, "topic-without-members");
    stage.get("/api/v1/topics/G").await.problem(400, "bad-path");
}
