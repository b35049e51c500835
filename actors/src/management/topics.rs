//! Topics in terms of the api.

use super::api::{TopicDetail, TopicMember, TopicSummary, Topics};
use crate::http::Problem;
use http::StatusCode;
use odeon::Node;
use odeon::core::{Retry, ServiceName};
use odeon::topics::{Group, Member, TopicContract};

/// All that this node knows of.
pub(super) fn all(node: &Node) -> Topics {
    let summary = |group: Group| TopicSummary {
        name: group.topic.to_string(),
        version: version(&group.contract),
        contract: group.contract.name,
        members: group.members.len(),
    };
    Topics { topics: node.topics().into_iter().map(summary).collect() }
}

/// One of them.
///
/// # Errors
/// It has no members.
pub(super) fn one(node: &Node, name: &ServiceName) -> Result<TopicDetail, Problem> {
    let group = node.topics().into_iter().find(|group| group.topic == *name).ok_or_else(|| {
        let title = "Nobody is told of what is published there";
        Problem::new(StatusCode::NOT_FOUND, "topic-without-members", title)
            .detail(format!("the topic {name} has no members that this node knows of"))
            .not_executed(Retry::Later)
    })?;
    let member = |member: Member| TopicMember {
        service: member.service.to_string(),
        key: member.key.map(|key| key.to_string()),
        node: match member.node.incarnation {
            0 => member.node.name.to_string(),
            _ => member.node.to_string(),
        },
    };
    Ok(TopicDetail {
        name: group.topic.to_string(),
        version: version(&group.contract),
        contract: group.contract.name,
        members: group.members.into_iter().map(member).collect(),
    })
}

fn version(contract: &TopicContract) -> String {
    format!("{}.{}", contract.major, contract.minor)
}
