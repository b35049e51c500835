//! `cluster remove`: a node that will not come back is a member no more.

use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use clap::Args;
use odeon::core::NodeId;
use odeon_actors::management::api::RemoveRequest;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon cluster remove north@3
  odeon cluster remove north@3 --json";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The node, with its incarnation as `odeon members` shows it: others get its work at once. A node that still runs
    /// then is not ready until it is started anew
    #[arg(value_name = "NODE@INCARNATION", value_parser = parse)]
    member: NodeId,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Removes it.
///
/// # Errors
/// The node cannot be asked, is the one that is to be removed, or the cluster group does not take it.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let Arguments { member, json, target } = arguments;
    let request = RemoveRequest { node: member.name.to_string(), incarnation: member.incarnation };
    let decided = Remote::find(target)?.remove(&request).await?;
    match json {
        true => invocation.terminal.json(&decided)?,
        false => invocation.terminal.line(format_args!(
            "{member} is a member no more since epoch {}, at the latest. If it still runs, it is not ready until it is \
             started anew.",
            decided.epoch
        ))?,
    }
    Ok(Code::Done)
}

fn parse(text: &str) -> Result<NodeId, String> {
    let Some((name, incarnation)) = text.rsplit_once('@') else {
        return Err("expected its incarnation, too, such as north@3: `odeon members` shows it".into());
    };
    let incarnation = incarnation.parse().map_err(|_| format!("{incarnation:?} is no incarnation"))?;
    let name = name.parse().map_err(|error: odeon::core::id::NameError| error.to_string())?;
    Ok(NodeId { name, incarnation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_removed_by_its_name_and_its_incarnation() {
        assert_eq!(parse("north@3").map(|node| node.to_string()), Ok("north@3".into()));
        for (wrong, said) in [("north", "such as north@3"), ("north@", "no incarnation"), ("North@1", "'N'")]
        {
            let error = parse(wrong).expect_err(wrong);
            assert!(error.contains(said), "{error}");
        }
    }
}
