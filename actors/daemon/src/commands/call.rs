//! `call`: one call, with an exit code that says how it ended.

use crate::address::Address;
use crate::duration;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use crate::shown;
use crate::terminal::{Terminal, pretty};
use clap::Args;
use odeon::core::{Criticality, Retry};
use odeon_actors::management::api::{CallEnd, CallRequest, CallResponse};
use serde_json::value::RawValue;
use std::io::Read;
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon call greeter greet '{\"name\":\"Ada\"}'
  odeon call 'counter#apples' add '{\"amount\":2}' --within 500ms
  odeon call checkout place @order.json
  echo '{\"amount\":2}' | odeon call 'counter#apples' add -";

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The service, or an entity as SERVICE#KEY
    #[arg(value_name = "SERVICE[#KEY]")]
    address: Address,
    /// The method
    method: String,
    /// The arguments as a JSON object; @FILE reads a file, - standard input
    #[arg(value_name = "JSON|@FILE|-", default_value = "{}")]
    arguments: String,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration::within)]
    within: Duration,
    /// The class of the call: critical, high, normal or sheddable
    #[arg(long, value_name = "CLASS", default_value = "normal")]
    criticality: Criticality,
    /// Print the outcome as JSON, with request id, trace and time
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Calls and prints the answer.
///
/// # Errors
/// Everything but an answer, with the exit code that tells which.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let body = read_arguments(&arguments.arguments)?;
    let json = |failure: Failure| match arguments.json {
        true => no_response(&invocation.terminal, failure),
        false => failure,
    };
    let remote = Remote::find(&arguments.target).map_err(json)?;
    let call = CallRequest {
        service: arguments.address.service.to_string(),
        key: arguments.address.key.clone(),
        method: arguments.method.clone(),
        arguments: Some(body),
        within_ms: Some(u64::try_from(arguments.within.as_millis()).unwrap_or(u64::MAX).max(1)),
        criticality: arguments.criticality,
    };
    let response = remote.call(&call, arguments.within).await.map_err(json)?;
    finish(&invocation.terminal, arguments.json, &response)
}

/// Says in JSON why there is no response; what else a response has, only a node can say.
fn no_response(terminal: &Terminal, failure: Failure) -> Failure {
    let (outcome, reason) = match failure.code {
        Code::Unreachable => (CallEnd::NotExecuted, "unreachable"),
        Code::Unknown => (CallEnd::Unknown, "no-answer"),
        // a node has answered, but not as one does, or nothing was tried
        _ => return failure,
    };
    let said = serde_json::json!({ "outcome": outcome, "reason": reason, "detail": failure.problem });
    match terminal.json(&said) {
        Ok(()) => Failure::said(failure.code),
        Err(failure) => failure,
    }
}

fn finish(terminal: &Terminal, json: bool, response: &CallResponse) -> Result<Code, Failure> {
    let code = match response.outcome {
        CallEnd::Answered | CallEnd::Accepted => Code::Done,
        CallEnd::Failed => Code::Failed,
        CallEnd::NotExecuted => Code::NotExecuted,
        CallEnd::Unknown => Code::Unknown,
    };
    if json {
        terminal.json(response)?;
        return Ok(code);
    }
    match (response.outcome, &response.answer) {
        (CallEnd::Answered, Some(answer)) => terminal.line(pretty(answer.get()))?,
        (CallEnd::Answered, None) => terminal.line("null")?,
        (CallEnd::Accepted, _) => terminal.line("accepted")?,
        (CallEnd::Failed | CallEnd::NotExecuted | CallEnd::Unknown, _) => {
            return Err(explain(code, response));
        }
    }
    Ok(code)
}

/// What a person should know of a call that was not answered.
fn explain(code: Code, response: &CallResponse) -> Failure {
    let reason = response.reason.as_deref().unwrap_or("no reason given");
    let what = shown::line(response.detail.as_deref().unwrap_or(reason));
    let said = match (code, &response.error) {
        (Code::NotExecuted, _) => format!("not executed: {what}"),
        (Code::Unknown, _) => format!("unknown outcome: {what}"),
        (_, Some(error)) => format!("{what}\n  {}", error.get()),
        (_, None) => what.into_owned(),
    };
    let failure = Failure::new(code, said);
    match (code, response.retry) {
        (Code::Unknown, _) => failure.advice("it may have run: repeat it only if that does no harm"),
        (_, Some(Retry::Now | Retry::Elsewhere)) => failure.advice("it may be repeated at once"),
        (_, Some(Retry::Later)) => failure.advice("it may be repeated after a while"),
        (_, Some(Retry::Never) | None) => failure,
    }
}

/// Arguments as they are typed: JSON, `@file`, or `-` for standard input.
///
/// # Errors
/// They cannot be read, or are no JSON.
pub(crate) fn read_arguments(text: &str) -> Result<Box<RawValue>, Failure> {
    let (text, from) = match text.strip_prefix('@') {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Failure::usage(format_args!("the arguments: {path}: {e}")))?;
            (text, path)
        }
        None if text == "-" => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|e| Failure::usage(format_args!("the arguments: standard input: {e}")))?;
            (text, "standard input")
        }
        None => (text.to_owned(), "the command line"),
    };
    RawValue::from_string(text.trim().to_owned()).map_err(|e| {
        Failure::usage(format_args!("the arguments from {from} are no JSON: {e}"))
            .advice(r#"expected an object such as {"name":"Ada"}, in single quotes for the shell"#)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(rest: &str) -> Result<Code, Failure> {
        let text = format!(r#"{{"request":"r","trace":"t","took_us":7,{rest}}}"#);
        let response = serde_json::from_str(&text).expect("a response");
        finish(&Terminal::plain(), false, &response)
    }

    #[test]
    fn the_exit_code_tells_the_three_outcomes_apart() {
        assert_eq!(end(r#""outcome":"answered","answer":7"#), Ok(Code::Done));
        let code = |rest: &str| end(rest).expect_err("no answer").code;
        assert_eq!(code(r#""outcome":"failed","error":{}"#), Code::Failed);
        assert_eq!(code(r#""outcome":"not-executed","reason":"mailbox-full""#), Code::NotExecuted);
        assert_eq!(code(r#""outcome":"unknown","reason":"timed-out""#), Code::Unknown);
    }

    #[test]
    fn a_services_own_error_is_shown_as_it_was_sent() {
        let failure = end(r#""outcome":"failed","detail":"only 3 left","error":{"left":3},"retry":"later""#)
            .expect_err("no answer");
        assert_eq!(failure.to_string(), "only 3 left\n  {\"left\":3}\n  it may be repeated after a while");
    }

    #[test]
    fn arguments_that_are_no_json_are_refused_before_anything_is_sent() {
        assert_eq!(read_arguments("{name:1}").expect_err("no JSON").code, Code::Usage);
        assert_eq!(read_arguments("@/nowhere").expect_err("no file").code, Code::Usage);
        assert!(read_arguments(" {\"name\":\"Ada\"}\n").is_ok());
    }
}
