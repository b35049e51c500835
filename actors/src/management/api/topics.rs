//! What is said of topics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All topics that have members: `GET /api/v1/topics`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Topics {
    /// As this node knows them, by name.
    pub topics: Vec<TopicSummary>,
}

/// A topic in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TopicSummary {
    /// Its name.
    pub name: String,
    /// The name of the contract that its members speak.
    pub contract: String,
    /// The contract's version, `major.minor`, as one of them says.
    pub version: String,
    /// How many members it has.
    pub members: usize,
}

/// A topic with its members: `GET /api/v1/topics/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TopicDetail {
    /// Its name.
    pub name: String,
    /// The name of the contract that its members speak.
    pub contract: String,
    /// The contract's version, `major.minor`, as one of them says.
    pub version: String,
    /// Who would be told of what is published from here.
    pub members: Vec<TopicMember>,
}

/// A member of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TopicMember {
    /// Its service.
    pub service: String,
    /// The key of an entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The node that tells of it, `name@incarnation`; its name alone if it is in no cluster.
    pub node: String,
}
