//! Load over HTTP by wrk, and what it says.

use crate::workload::{Metric, Sample};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Connections that are kept alive.
pub const CONNECTIONS: u32 = 64;

/// The body of each request.
pub const BODY: &str = r#"{"name":"Ada"}"#;

/// The body of each answer.
pub const ANSWER: &str = r#""Hello, Ada""#;

/// Keys of the entities that requests go to in turn.
pub const KEYS: usize = 64;

/// What is posted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// The path of the URL.
    Service,
    /// [`KEYS`] entities in turn, at `/v1/keyed-greeter/{key}/greet`.
    Entities,
}

/// wrk with our request.
#[derive(Debug)]
pub struct Wrk {
    folder: TempDir,
}

/// What wrk counted.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Requests that were answered.
    pub requests: u64,
    /// In one second.
    pub per_second: f64,
    /// Latencies in µs: median and 99th percentile.
    pub latency: (f64, f64),
}

impl Report {
    /// As numbers, with the CPU time that the server used meanwhile.
    pub fn samples(&self, cpu: Duration) -> Vec<Sample> {
        vec![
            Sample::new(Metric::Requests, self.per_second / 1e3),
            Sample::new(Metric::LatencyMedian, self.latency.0),
            Sample::new(Metric::LatencyP99, self.latency.1),
            Sample::new(Metric::CpuPerRequest, cpu.as_secs_f64() * 1e6 / self.requests as f64),
        ]
    }
}

impl Wrk {
    /// Checks that wrk is there and writes its scripts.
    ///
    /// # Errors
    /// It is not.
    pub fn prepare() -> Result<Self> {
        // it has no way to say its version without failing
        Command::new("wrk").arg("--version").output().context("wrk is not there: apt install wrk")?;
        let folder = tempfile::tempdir()?;
        let header = "wrk.headers['Content-Type'] = 'application/json'";
        let plain = format!("wrk.method = 'POST'\nwrk.body = '{BODY}'\n{header}\n");
        // all requests are made before the first is sent
        let keyed = format!(
            "{plain}local made, turn = {{}}, 0\n\
             function init()\n  for key = 1, {KEYS} do\n    \
             made[key] = wrk.format(nil, '/v1/keyed-greeter/' .. key .. '/greet')\n  end\nend\n\
             function request()\n  turn = turn % {KEYS} + 1\n  return made[turn]\nend\n"
        );
        let wrk = Self { folder };
        std::fs::write(wrk.script(Posted::Service), plain)?;
        std::fs::write(wrk.script(Posted::Entities), keyed)?;
        Ok(wrk)
    }

    fn script(&self, posted: Posted) -> PathBuf {
        self.folder.path().join(match posted {
            Posted::Service => "service.lua",
            Posted::Entities => "entities.lua",
        })
    }

    /// Posts for a time, from one thread over [`CONNECTIONS`] connections.
    ///
    /// # Errors
    /// wrk failed, or an answer was none of 2xx.
    pub fn post(&self, url: &str, posted: Posted, time: Duration) -> Result<Report> {
        let output = Command::new("wrk")
            .args(["-t1", "--latency", "--timeout", "10s", &format!("-c{CONNECTIONS}")])
            .arg(format!("-d{}s", time.as_secs()))
            .arg("-s")
            .arg(self.script(posted))
            .arg(url)
            .output()?;
        let said = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "wrk failed: {said}");
        ensure!(
            !said.contains("Non-2xx") && !said.contains("Socket errors"),
            "not all were answered: {said}"
        );
        read(&said).with_context(|| format!("wrk said: {said}"))
    }
}

fn read(said: &str) -> Option<Report> {
    let line = |key: &str| said.lines().find_map(|l| l.trim().strip_prefix(key)).map(str::trim);
    let requests = said.lines().find(|l| l.contains(" requests in "))?.split_whitespace().next()?;
    Some(Report {
        requests: requests.parse().ok()?,
        per_second: line("Requests/sec:")?.parse().ok()?,
        latency: (microseconds(line("50%")?)?, microseconds(line("99%")?)?),
    })
}

fn microseconds(text: &str) -> Option<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    let (number, factor) = units.iter().find_map(|(unit, f)| Some((text.strip_suffix(unit)?, f)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_read() {
        let said = "Running 4s test @ http://127.0.0.1:9000/\n  1 threads and 64 connections\n  \
            Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   345.69us  301.20us  8.34ms   91.10%\n    \
            Req/Sec   191.76k    12.06k  210.53k    62.50%\n  Latency Distribution\n     50%  312.00us\n     \
            75%  420.00us\n     90%  601.00us\n     99%    1.24ms\n  764012 requests in 4.00s, 110.76MB read\n\
            Requests/sec: 190958.11\nTransfer/sec:     27.68MB\n";
        let report = read(said).expect("it is complete");
        assert_eq!(report.requests, 764_012);
        assert!((report.per_second - 190_958.11).abs() < 1e-6);
        assert!((report.latency.0 - 312.0).abs() < 1e-6 && (report.latency.1 - 1240.0).abs() < 1e-6);
    }
}
