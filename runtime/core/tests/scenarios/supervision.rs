//! Stories of supervisors: whom they start, stop and kill, when they wait and when they give up.
//!
//! `supervisor <strategy> [restarts=3] [window=10s] [min=..] [max=..] [quiet=..]`, then one line a child: `<name>
//! [permanent|transient|temporary] [start=..] [stop=..]`. What happens: `begin`, `started <names>`, `ended <name>
//! <how>`, `add <child>`, `remove <name>`, `stop`, `wait <time>`. `show` tells where all stand. `cell ...` with the
//! same options is the memory of one cell, and `failed [times]` asks for its verdict.

use crate::story::{Teller, play};
use odeon_core::supervision::{
    ChildSpec, ChildState, Effect, Event, Exit, Machine, Restart, RestartLimits, Restarts, Settings,
    StopReason, Strategy, Verdict,
};
use odeon_core::{Random, Timestamp};
use std::fmt::Write as _;
use std::time::Duration;

#[test]
fn supervisors_do_what_their_stories_tell() {
    play("supervision", Told::default);
}

struct Told {
    now: Timestamp,
    random: Random,
    limits: RestartLimits,
    machine: Machine,
    cell: Restarts,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            now: Timestamp::ZERO,
            random: Random::seeded(1),
            limits: RestartLimits::default(),
            machine: Machine::new(Settings::default(), []),
            cell: Restarts::default(),
        }
    }
}

impl Teller for Told {
    fn tell(&mut self, command: &str) -> Result<String, String> {
        let mut lines = command.lines();
        let mut words = lines.next().unwrap_or_default().split_whitespace();
        let verb = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        let mut out = String::new();
        match (verb, words.as_slice()) {
            ("supervisor", [strategy_word, options @ ..]) => {
                self.limits = limits(options)?;
                let settings = Settings { strategy: strategy(strategy_word)?, limits: self.limits };
                let specs = lines.map(child).collect::<Result<Vec<_>, _>>()?;
                self.machine = Machine::new(settings, specs);
            }
            ("cell", options) => {
                self.limits = limits(options)?;
                self.cell = Restarts::default();
            }
            ("begin", []) => self.step(Event::Begin, &mut out),
            ("stop", []) => self.step(Event::Stop, &mut out),
            ("started", names) => {
                names.iter().for_each(|name| self.step(Event::Started((*name).into()), &mut out));
            }
            ("ended", [name, how]) => self.step(Event::Ended((*name).into(), exit(how)?), &mut out),
            ("add", spec) => self.step(Event::Add(child(&spec.join(" "))?), &mut out),
            ("remove", [name]) => self.step(Event::Remove((*name).into()), &mut out),
            ("wait", [time]) => self.wait(duration(time)?, &mut out),
            ("show", []) => self.show(&mut out),
            ("failed", []) => self.failed(&mut out),
            ("failed", [times]) => {
                let times: u32 = times.parse().map_err(|_| format!("{times:?} is no number"))?;
                (0..times).for_each(|_| self.failed(&mut out));
            }
            _ => return Err(format!("{command:?} is no command")),
        }
        Ok(out)
    }
}

impl Told {
    fn step(&mut self, event: Event, out: &mut String) {
        let mut effects = Vec::new();
        self.machine.step(self.now, event, &mut self.random, &mut effects);
        for effect in effects {
            let text = match effect {
                Effect::Start(child) => format!("start {child}"),
                Effect::Stop(child, within) => format!("stop {child} within {within:?}"),
                Effect::Kill(child) => format!("kill {child}"),
                Effect::Forget(child) => format!("forget {child}"),
                Effect::Ready => "ready".to_owned(),
                Effect::Stopped => "stopped".to_owned(),
                Effect::Escalate(failure) => format!("escalate: {failure}"),
            };
            let _ = writeln!(out, "{} {text}", self.clock());
        }
    }

    /// Lets time pass, and the machine act whenever it wanted to.
    fn wait(&mut self, time: Duration, out: &mut String) {
        let end = self.now + time;
        while let Some(due) = self.machine.deadline().filter(|due| *due <= end) {
            assert!(due > self.now, "a deadline that has passed was acted upon");
            self.now = due;
            self.step(Event::Timer, out);
        }
        self.now = end;
    }

    fn show(&self, out: &mut String) {
        let _ = writeln!(out, "{} supervisor {}", self.clock(), self.machine.phase());
        for child in self.machine.children() {
            let name = &child.spec().name;
            let _ = write!(out, "  {name} {}", child.state().name());
            match child.state() {
                ChildState::Due { at } if at > self.now => {
                    let _ = write!(out, " for {:?}", at.since(self.now));
                }
                ChildState::Due { .. } => out.push_str(" for its turn"),
                _ => {}
            }
            if child.restarts() > 0 {
                let _ = write!(out, ", restarts {}", child.restarts());
            }
            if let Some((at, exit)) = child.last_exit() {
                let _ = write!(out, ", at {} {exit}", clock(*at));
            }
            out.push('\n');
        }
    }

    fn failed(&mut self, out: &mut String) {
        let verdict = match self.cell.failed(&self.limits, self.now, &mut self.random) {
            Verdict::RestartNow => "restart now".to_owned(),
            Verdict::RestartAfter(wait) => format!("restart after {wait:?}"),
            Verdict::GiveUp { until } => format!("give up until {}", clock(until)),
        };
        let _ = writeln!(out, "{} {verdict}", self.clock());
    }

    fn clock(&self) -> String {
        format!("[{}]", clock(self.now))
    }
}

fn clock(at: Timestamp) -> String {
    if at == Timestamp::ZERO { "0s".to_owned() } else { format!("{:?}", at.since(Timestamp::ZERO)) }
}

fn strategy(word: &str) -> Result<Strategy, String> {
    let all = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];
    all.into_iter().find(|strategy| strategy.name() == word).ok_or(format!("{word:?} is no strategy"))
}

fn limits(options: &[&str]) -> Result<RestartLimits, String> {
    let mut limits = RestartLimits { restarts_max: 3, ..RestartLimits::default() };
    for option in options {
        match option.split_once('=') {
            Some(("restarts", value)) => {
                limits.restarts_max = value.parse().map_err(|_| option.to_string())?
            }
            Some(("window", value)) => limits.window = duration(value)?,
            Some(("min", value)) => limits.backoff.min = duration(value)?,
            Some(("max", value)) => limits.backoff.max = duration(value)?,
            Some(("quiet", value)) => limits.quiet = duration(value)?,
            _ => return Err(format!("{option:?} is no option of a supervisor")),
        }
    }
    Ok(limits)
}

fn child(line: &str) -> Result<ChildSpec, String> {
    let mut words = line.split_whitespace();
    let mut spec = ChildSpec::permanent(words.next().ok_or("a child has a name")?);
    for word in words {
        match (word, word.split_once('=')) {
            ("permanent", _) => spec.restart = Restart::Permanent,
            ("transient", _) => spec.restart = Restart::Transient,
            ("temporary", _) => spec.restart = Restart::Temporary,
            (_, Some(("start", value))) => spec.start_within = duration(value)?,
            (_, Some(("stop", value))) => spec.stop_within = duration(value)?,
            _ => return Err(format!("{word:?} says nothing about a child")),
        }
    }
    Ok(spec)
}

fn exit(word: &str) -> Result<Exit, String> {
    match word {
        "normally" => Ok(Exit::Stopped { reason: StopReason::Own }),
        "as-told" => Ok(Exit::Stopped { reason: StopReason::Shutdown }),
        "killed" => Ok(Exit::Killed),
        "panicking" => Ok(Exit::Panicked { text: "no such row".into(), method: "find".into() }),
        "unstarted" => Ok(Exit::StartFailed { problem: "address in use".into() }),
        _ => Err(format!("nothing ends {word:?}")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, nanos) = match text.strip_suffix("ms") {
        Some(number) => (number, 1_000_000),
        None => (text.strip_suffix('s').unwrap_or(text), 1_000_000_000),
    };
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is no time"))?;
    Ok(Duration::from_nanos(number * nanos))
}
