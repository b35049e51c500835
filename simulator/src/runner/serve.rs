//! The zygote's half: forks one process for each request and passes on what that process says.

use super::wire::{Mouth, Request};
use super::{Case, Told};
use crate::Simulation;
use odeon_simulator_os::process::{self, Addresses, Ending, Heard, Limits};
use std::any::Any;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The stack of the simulation's thread. It runs the turns of all hosts, and handlers may recurse.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// Serves requests from the runner on standard input, which is a socket, until the runner hangs up.
pub(super) fn serve(case: &Case) -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut mouth = Mouth(&socket);
    mouth.ready(process::addresses() == Addresses::Random)?;
    while let Some(request) = Request::read(&socket)? {
        let ending = run_apart(case.script, request, &mut mouth)?;
        mouth.ended(ending)?;
    }
    Ok(())
}

/// What a forked process needs to know of the case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Script {
    pub(super) run: fn(&mut Simulation),
    pub(super) shape: super::Shape,
}

fn run_apart(script: Script, request: Request, mouth: &mut Mouth<&UnixStream>) -> io::Result<Ending> {
    let limits = Limits { wall_time_max: request.limit, stack_bytes: STACK_BYTES };
    let mut passed_on = Ok(());
    let ending = process::fork_and_run(
        limits,
        move |report| write_report(report, &simulate(script, request)),
        |heard| {
            if passed_on.is_ok() {
                passed_on = match heard {
                    Heard::Report(piece) => mouth.report(piece),
                    Heard::Printed(piece) => mouth.printed(piece),
                };
            }
        },
    )?;
    passed_on.map(|()| ending)
}

/// Runs the script in this process and on this thread, and says all that came of it.
fn simulate(script: Script, request: Request) -> Told {
    let options = script.shape.options(request.seed);
    let mut simulation = Simulation::new(options, request.keep_lines);
    let run = catch_unwind(AssertUnwindSafe(|| (script.run)(&mut simulation)));
    let finished = catch_unwind(AssertUnwindSafe(|| simulation.finish()));
    let mut panics = Vec::new();
    if let Err(payload) = &run {
        panics.push(format!("the script: {}", panic_text(payload.as_ref())));
    }
    let report = finished.unwrap_or_else(|payload| {
        panics.push(format!("the end of the simulation: {}", panic_text(payload.as_ref())));
        crate::Report { seed: request.seed, ..crate::Report::default() }
    });
    Told { panics, report }
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic with something other than text")
}

/// A report that cannot be written is a process that ended without a word, which the runner notices.
fn write_report(report: &mut File, told: &Told) {
    let mut out = BufWriter::with_capacity(64 * 1024, report);
    let written = serde_json::to_writer(&mut out, told).map_err(io::Error::from).and_then(|()| out.flush());
    if let Err(error) = written {
        let _ = writeln!(io::stderr(), "the report could not be written: {error}");
    }
}
