//! Laws of supervision, held against children that start, end, fail and hang as they please.

use odeon_core::supervision::{
    Backoff, ChildName, ChildSpec, Effect, Event, Exit, Machine, Restart, RestartLimits, Restarts, Settings,
    StopReason, Strategy as SupervisorStrategy, Verdict,
};
use odeon_core::{Random, Timestamp};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What fate does next; the number picks whom.
#[derive(Clone, Copy, Debug)]
enum Fate {
    IsUp(usize),
    EndsInOrder(usize),
    Fails(usize),
    TimePasses(u64),
    Comes,
    Leaves(usize),
}

/// What a child that runs, or is about to, does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Starting,
    Up,
    Stopping,
}

/// The children of a supervisor as they really are, which checks each effect against the laws.
struct World {
    now: Timestamp,
    random: Random,
    machine: Machine,
    order: Vec<ChildName>,
    alive: BTreeMap<ChildName, Life>,
    begun: BTreeSet<ChildName>,
    restarts: Vec<Timestamp>,
    told_to_stop: bool,
    over: bool,
    born: usize,
}

impl World {
    fn new(settings: Settings, restarts: &[Restart]) -> Self {
        let specs: Vec<ChildSpec> =
            restarts.iter().enumerate().map(|(n, restart)| spec(n, *restart)).collect();
        Self {
            now: Timestamp::ZERO,
            random: Random::seeded(3),
            order: specs.iter().map(|spec| spec.name.clone()).collect(),
            born: specs.len(),
            machine: Machine::new(settings, specs),
            alive: BTreeMap::new(),
            begun: BTreeSet::new(),
            restarts: Vec::new(),
            told_to_stop: false,
            over: false,
        }
    }

    fn step(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.machine.step(self.now, event, &mut self.random, &mut effects);
        effects.into_iter().for_each(|effect| self.check(effect));
        if let Some(due) = self.machine.deadline() {
            assert!(due > self.now, "what was due is done");
            assert!(due < Timestamp(u64::MAX), "no limit is no deadline");
        }
    }

    fn check(&mut self, effect: Effect) {
        assert!(!self.over, "nothing follows the end, but {effect:?} did");
        match effect {
            Effect::Start(child) => self.check_start(child),
            Effect::Stop(child, _) => {
                assert_ne!(self.alive.insert(child.clone(), Life::Stopping), None, "{child} runs");
                if self.told_to_stop {
                    let later = self.behind(&child);
                    assert!(later.is_empty(), "{child} is stopped before {later:?} have ended");
                }
            }
            Effect::Kill(child) => {
                assert_ne!(self.alive.insert(child.clone(), Life::Stopping), None, "{child} can be killed");
            }
            Effect::Forget(child) => {
                assert!(!self.alive.contains_key(&child), "{child} is forgotten after its end");
                self.order.retain(|name| *name != child);
                self.begun.remove(&child);
            }
            Effect::Ready => assert!(!self.told_to_stop, "a supervisor is ready before it is told to stop"),
            Effect::Stopped => {
                assert!(self.told_to_stop);
                self.end();
            }
            Effect::Escalate(_) => self.end(),
        }
    }

    fn check_start(&mut self, child: ChildName) {
        assert!(!self.told_to_stop, "{child} starts although all is to stop");
        assert_eq!(
            self.alive.insert(child.clone(), Life::Starting),
            None,
            "{child} starts twice without an end"
        );
        let earlier: Vec<&ChildName> = self.order.iter().take_while(|name| **name != child).collect();
        if self.machine.settings().strategy.is_independent() {
            if self.begun.contains(&child) {
                self.restarts.push(self.now);
            } else {
                let starting = earlier.iter().find(|name| {
                    !self.begun.contains(**name) && self.alive.get(**name) == Some(&Life::Starting)
                });
                assert_eq!(starting, None, "{child} starts for the first time while an earlier one does");
                let later = self.behind(&child);
                assert!(later.is_empty(), "{child} starts for the first time after {later:?}");
            }
        } else {
            let later = self.behind(&child);
            assert!(later.is_empty(), "{child} starts although {later:?} still run");
            let busy =
                earlier.iter().find(|name| self.alive.get(**name).is_some_and(|life| *life != Life::Up));
            assert_eq!(busy, None, "{child} starts while an earlier one starts or stops");
        }
    }

    fn behind(&self, child: &ChildName) -> Vec<&ChildName> {
        let behind = self.order.iter().skip_while(|name| *name != child).skip(1);
        behind.filter(|name| self.alive.contains_key(*name)).collect()
    }

    fn end(&mut self) {
        assert!(self.alive.is_empty(), "at the end nobody runs, but {:?}", self.alive);
        self.over = true;
    }

    fn pick(&self, nth: usize, fits: impl Fn(Life) -> bool) -> Option<ChildName> {
        let fitting: Vec<&ChildName> =
            self.alive.iter().filter(|(_, life)| fits(**life)).map(|(name, _)| name).collect();
        (!fitting.is_empty()).then(|| fitting[nth % fitting.len()].clone())
    }

    fn suffer(&mut self, fate: Fate) {
        match fate {
            Fate::IsUp(nth) => {
                if let Some(child) = self.pick(nth, |life| life == Life::Starting) {
                    self.alive.insert(child.clone(), Life::Up);
                    self.begun.insert(child.clone());
                    self.step(Event::Started(child));
                }
            }
            Fate::EndsInOrder(nth) => self.ends(nth, Exit::Stopped { reason: StopReason::Own }),
            Fate::Fails(nth) => self.ends(nth, Exit::Killed),
            Fate::TimePasses(millis) => self.pass(Duration::from_millis(millis)),
            Fate::Comes => {
                let spec = spec(self.born, Restart::Transient);
                self.born += 1;
                self.order.push(spec.name.clone());
                self.step(Event::Add(spec));
            }
            Fate::Leaves(nth) => {
                if !self.order.is_empty() {
                    let name = self.order[nth % self.order.len()].clone();
                    self.step(Event::Remove(name));
                }
            }
        }
    }

    fn ends(&mut self, nth: usize, exit: Exit) {
        if let Some(child) = self.pick(nth, |_| true) {
            self.alive.remove(&child);
            if exit.is_normal() {
                self.begun.insert(child.clone());
            }
            self.step(Event::Ended(child, exit));
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.machine.deadline().filter(|due| *due <= end) {
            self.now = due;
            self.step(Event::Timer);
        }
        self.now = end;
    }

    /// Everybody does as told, for as long as there is something to do.
    fn heal(&mut self) {
        for _ in 0..1_000 {
            if self.over {
                return;
            }
            if self.pick(0, |life| life == Life::Starting).is_some() {
                self.suffer(Fate::IsUp(0));
            } else if let Some(child) = self.pick(0, |life| life == Life::Stopping) {
                self.alive.remove(&child);
                self.step(Event::Ended(child, Exit::Stopped { reason: StopReason::Shutdown }));
            } else if let Some(due) = self.machine.deadline() {
                self.pass(due.since(self.now));
            } else {
                return;
            }
        }
        panic!("the supervisor does not come to rest");
    }
}

fn spec(n: usize, restart: Restart) -> ChildSpec {
    let second = Duration::from_secs(1);
    let spec = ChildSpec::permanent(&format!("child-{n:03}")).restarted(restart).within(second * 3, second);
    if n % 4 == 3 { spec.unlimited() } else { spec }
}

fn limits(restarts_max: u32, wait: u64) -> RestartLimits {
    let wait = Duration::from_millis(wait);
    RestartLimits {
        restarts_max,
        window: Duration::from_secs(5),
        backoff: Backoff { min: wait, max: wait * 8 },
        quiet: Duration::from_secs(10),
    }
}

fn any_settings() -> impl Strategy<Value = Settings> {
    use SupervisorStrategy::{OneForAll, OneForOne, RestForOne};
    let strategies = prop_oneof![Just(OneForOne), Just(OneForAll), Just(RestForOne)];
    (strategies, 0u32..12, 0u64..500)
        .prop_map(|(strategy, restarts_max, wait)| Settings { strategy, limits: limits(restarts_max, wait) })
}

fn any_children() -> impl Strategy<Value = Vec<Restart>> {
    let restarts = prop_oneof![
        3 => Just(Restart::Permanent),
        1 => Just(Restart::Transient),
        1 => Just(Restart::Temporary),
    ];
    prop::collection::vec(restarts, 1..7)
}

fn any_fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        8 => (0usize..8).prop_map(Fate::IsUp),
        2 => (0usize..8).prop_map(Fate::EndsInOrder),
        3 => (0usize..8).prop_map(Fate::Fails),
        4 => (0u64..3_000).prop_map(Fate::TimePasses),
        1 => Just(Fate::Comes),
        1 => (0usize..8).prop_map(Fate::Leaves),
    ];
    prop::collection::vec(fate, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_children_do_a_supervisor_keeps_order_and_comes_to_rest(
        settings in any_settings(), children in any_children(), fates in any_fates()
    ) {
        let mut world = World::new(settings, &children);
        world.step(Event::Begin);
        fates.into_iter().for_each(|fate| if !world.over { world.suffer(fate) });
        world.heal();
        if !world.over {
            prop_assert_eq!(world.machine.phase(), "up");
            for child in world.machine.children() {
                let up = world.alive.get(&child.spec().name) == Some(&Life::Up);
                prop_assert!(up || child.spec().restart != Restart::Permanent, "{} is down", child.spec().name);
            }
        }
    }

    #[test]
    fn after_a_stop_all_end_in_reverse_order_and_none_starts(
        settings in any_settings(), children in any_children(), before in any_fates(), after in any_fates()
    ) {
        let mut world = World::new(settings, &children);
        world.step(Event::Begin);
        before.into_iter().for_each(|fate| if !world.over { world.suffer(fate) });
        if !world.over && world.machine.phase() != "giving-up" {
            world.told_to_stop = true;
            world.step(Event::Stop);
            let after = after.into_iter().filter(|fate| !matches!(fate, Fate::Comes));
            after.for_each(|fate| if !world.over { world.suffer(fate) });
            world.heal();
            prop_assert!(world.over);
        }
    }

    #[test]
    fn no_window_holds_more_restarts_than_allowed(
        restarts_max in 0u32..5, children in any_children(), fates in any_fates()
    ) {
        let settings = Settings { strategy: SupervisorStrategy::OneForOne, limits: limits(restarts_max, 0) };
        let mut world = World::new(settings, &children);
        world.step(Event::Begin);
        fates.into_iter().for_each(|fate| if !world.over { world.suffer(fate) });
        prop_assert_eq!(crowded(&world.restarts, &settings.limits), None);
    }

    #[test]
    fn no_cell_begins_again_more_often_than_allowed(
        restarts_max in 0u32..5, wait in 0u64..500, pauses in prop::collection::vec(0u64..4_000, 0..60)
    ) {
        let limits = limits(restarts_max, wait);
        let (mut cell, mut random, mut now) = (Restarts::default(), Random::seeded(5), Timestamp::ZERO);
        let mut restarts = Vec::new();
        for pause in pauses {
            now = now + Duration::from_millis(pause);
            match cell.failed(&limits, now, &mut random) {
                Verdict::RestartNow => restarts.push(now),
                Verdict::RestartAfter(wait) => {
                    prop_assert!(wait <= limits.backoff.max);
                    restarts.push(now);
                }
                Verdict::GiveUp { until } => prop_assert_eq!(until, now + limits.quiet),
            }
        }
        prop_assert_eq!(crowded(&restarts, &limits), None);
    }
}

/// The first restart that stands at the end of a window with too many.
fn crowded(restarts: &[Timestamp], limits: &RestartLimits) -> Option<Timestamp> {
    let spans = restarts.windows(limits.restarts_max as usize + 1);
    spans
        .map(|span| (span[0], span[span.len() - 1]))
        .find(|(first, last)| last.since(*first) <= limits.window)
        .map(|(_, last)| last)
}
