//! `bench`: load over HTTP through the gateway. Each connection sends its next request when the last one is
//! answered (a closed loop), so a slow node is asked less often: the times say how long callers waited, not what a
//! fixed rate of callers would see.

mod histogram;
mod load;

use crate::address::Address;
use crate::commands::call::read_arguments;
use crate::duration;
use crate::exit::{Code, Failure};
use crate::program::Invocation;
use crate::remote::{Remote, Target};
use crate::terminal::Table;
use clap::Args;
use load::{Load, Results};
use serde::Serialize;
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon bench greeter greet '{\"name\":\"Ada\"}'
  odeon bench 'counter#apples' add '{\"amount\":1}' --connections 1 --duration 10s
  odeon bench greeter greet @arguments.json --json";

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
    /// How many connections ask at the same time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// How long
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    duration: Duration,
    /// How long each request waits for its answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration::within)]
    within: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// What was measured, for programs. Times are in microseconds.
#[derive(Debug, Serialize)]
struct Report {
    connections: u16,
    seconds: f64,
    requests: u64,
    requests_per_second: f64,
    outcomes: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    outcome: String,
    requests: u64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
}

/// Runs the load and prints what came back.
///
/// # Errors
/// The node cannot be reached, or nothing was answered.
pub(crate) async fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let remote = Remote::find(&arguments.target)?;
    let body = read_arguments(&arguments.arguments)?;
    let load = Load {
        host: remote.gateway().await?,
        path: arguments.address.path(&arguments.method),
        body: body.get().to_owned().into(),
        connections: arguments.connections,
        duration: arguments.duration,
        within: arguments.within,
    };
    let terminal = invocation.terminal;
    let watched = terminal.is_interactive() && !arguments.json;
    let results = load
        .run(|second, rate| match watched {
            true => terminal.progress(format_args!("{second:>4} s  {rate} requests/s")),
            false => Ok(()),
        })
        .await?;
    if watched {
        terminal.progress("")?;
    }
    let report = report(arguments.connections, &results);
    if arguments.json {
        terminal.json(&report)?;
    } else {
        terminal.line(format_args!(
            "{} connections, {:.1} s: {} requests, {:.0} requests/s\n",
            report.connections, report.seconds, report.requests, report.requests_per_second
        ))?;
        terminal.table(&table(&report))?;
    }
    Ok(if results.answered() > 0 { Code::Done } else { Code::Failed })
}

fn report(connections: u16, results: &Results) -> Report {
    let seconds = results.lasted.as_secs_f64();
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let outcomes: Vec<Row> = results
        .outcomes
        .iter()
        .map(|(outcome, times)| Row {
            outcome: outcome.clone(),
            requests: times.total(),
            p50_us: micros(times.quantile(0.5)),
            p90_us: micros(times.quantile(0.9)),
            p99_us: micros(times.quantile(0.99)),
            p999_us: micros(times.quantile(0.999)),
            max_us: micros(times.max()),
        })
        .collect();
    let requests: u64 = outcomes.iter().map(|row| row.requests).sum();
    Report { connections, seconds, requests, requests_per_second: requests as f64 / seconds, outcomes }
}

fn table(report: &Report) -> Table {
    let mut table = Table::new()
        .text("outcome")
        .number("requests")
        .number("share")
        .number("p50")
        .number("p90")
        .number("p99")
        .number("p99.9")
        .number("max");
    let time = |micros: f64| duration::show(Duration::from_secs_f64(micros / 1e6));
    for row in &report.outcomes {
        let share = 100.0 * row.requests as f64 / report.requests.max(1) as f64;
        table.push([
            row.outcome.clone(),
            row.requests.to_string(),
            format!("{share:.2} %"),
            time(row.p50_us),
            time(row.p90_us),
            time(row.p99_us),
            time(row.p999_us),
            time(row.max_us),
        ]);
    }
    table
}
