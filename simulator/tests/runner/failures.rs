//! Each way in which a seed can fail is told apart from the others.

use odeon_simulator::Simulation;
use odeon_simulator::runner::{
    Case, Plan, Shape, Summary, Tone, Unfinished, Verdict, tell_failures, tell_summary,
};
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Runs a script as the test `name`. In the second processes that this starts, the call never returns.
fn explore(name: &str, change: impl FnOnce(&mut Plan), script: fn(&mut Simulation)) -> Summary {
    let path = format!("failures::{name}");
    let case = Case::of_test(&path, Shape { calm: true, ..Shape::default() }, script);
    let mut plan = Plan::of(0..3);
    change(&mut plan);
    case.explore(&plan, |_, _| {}).expect("seeds can run here")
}

/// All seeds end with this verdict, and a finding of each contains this text.
fn assert_all(summary: &Summary, verdict: Verdict, finding: &str) {
    let told = tell(summary);
    assert_eq!(summary.failures.len() as u64, summary.progress.done, "{told}");
    for failure in &summary.failures {
        assert_eq!(failure.outcome.verdict, verdict, "{told}");
        assert!(failure.outcome.findings.iter().any(|each| each.contains(finding)), "{told}");
    }
}

fn tell(summary: &Summary) -> String {
    let failures = tell_failures(summary, Tone::Plain, |failure| format!("seed {}", failure.outcome.seed));
    format!("{}{failures}", tell_summary(summary, Tone::Plain))
}

/// One host that does something and then rests.
fn one_host(sim: &mut Simulation, act: fn()) {
    let host = sim.host("alone", move |_| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        act();
        std::future::pending::<()>().await;
    });
    sim.start(host);
    sim.run_for(Duration::from_secs(1));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this is the fault that is to be found")]
fn a_thread_of_its_own_is_a_leak() {
    let name = "a_thread_of_its_own_is_a_leak";
    let summary = explore(name, |_| {}, |sim| one_host(sim, || drop(std::thread::spawn(|| {}))));
    assert_all(&summary, Verdict::Leaked, "thread");
}

#[test]
fn a_panic_of_a_task_is_told_though_tokio_swallows_it() {
    let name = "a_panic_of_a_task_is_told_though_tokio_swallows_it";
    let summary = explore(name, |_| {}, |sim| one_host(sim, || panic!("the shelf is empty")));
    assert_all(&summary, Verdict::Panicked, "the shelf is empty");
}

#[test]
fn a_panic_of_the_script_is_told_once() {
    let name = "a_panic_of_the_script_is_told_once";
    let summary = explore(name, |_| {}, |sim| assert!(sim.now() > Duration::MAX, "sums are wrong"));
    assert_all(&summary, Verdict::Panicked, "sums are wrong");
    assert_eq!(summary.failures[0].outcome.findings.len(), 1, "{}", tell(&summary));
}

#[test]
fn a_broken_promise_is_a_safety_violation() {
    let name = "a_broken_promise_is_a_safety_violation";
    let summary = explore(
        name,
        |_| {},
        |sim| {
            sim.run_for(Duration::from_secs(2));
            sim.violation("3 acknowledged, 2 kept".to_owned());
        },
    );
    assert_all(&summary, Verdict::Unsafe, "3 acknowledged, 2 kept");
}

#[test]
fn progress_that_never_comes_is_a_liveness_violation() {
    let name = "progress_that_never_comes_is_a_liveness_violation";
    let summary = explore(
        name,
        |_| {},
        |sim| {
            assert!(sim.demand("the sun rises", Duration::from_secs(1), |_| true));
            assert!(!sim.demand("everyone answers", Duration::from_secs(1), |_| false));
        },
    );
    assert_all(&summary, Verdict::NotLive, "everyone answers, within 1s");
    assert!(!tell(&summary).contains("the sun rises"), "{}", tell(&summary));
}

#[test]
fn an_aborted_process_is_told_with_what_it_printed() {
    let name = "an_aborted_process_is_told_with_what_it_printed";
    let summary = explore(
        name,
        |_| {},
        |_| {
            let _ = writeln!(std::io::stderr(), "the last words");
            std::process::abort();
        },
    );
    assert_all(&summary, Verdict::Died, "SIGABRT (6) ended the process");
    assert!(tell(&summary).contains("the last words"), "{}", tell(&summary));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this is the fault that is to be found")]
fn an_early_exit_is_no_success() {
    let summary = explore("an_early_exit_is_no_success", |_| {}, |_| std::process::exit(0));
    assert_all(&summary, Verdict::Died, "exited with status 0 before its report");
}

#[test]
fn a_recursion_without_end_is_the_death_of_its_seed_alone() {
    fn deeper(depth: u64) -> u64 {
        let room = std::hint::black_box([depth; 64]);
        if depth == u64::MAX { 0 } else { deeper(depth + 1) + room[1] }
    }
    let summary = explore(
        "a_recursion_without_end_is_the_death_of_its_seed_alone",
        |_| {},
        |_| {
            std::hint::black_box(deeper(0));
        },
    );
    assert_all(&summary, Verdict::Died, "SIGABRT (6) ended the process");
    assert!(tell(&summary).contains("overflowed its stack"), "{}", tell(&summary));
}

#[test]
fn a_loop_that_never_waits_is_killed_and_shown_where_it_is() {
    fn spin_for_ever() {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }
    let name = "a_loop_that_never_waits_is_killed_and_shown_where_it_is";
    let limit = |plan: &mut Plan| plan.limit = Duration::from_millis(300);
    let summary = explore(name, limit, |sim| one_host(sim, spin_for_ever));
    assert_all(&summary, Verdict::Hung, "still running after 300ms");
    assert!(tell(&summary).contains("spin_for_ever"), "{}", tell(&summary));
}

#[test]
fn an_exploration_gives_up_when_seeds_keep_hanging() {
    let name = "an_exploration_gives_up_when_seeds_keep_hanging";
    let hundred = |plan: &mut Plan| {
        plan.seeds = 0..100;
        plan.limit = Duration::from_millis(100);
    };
    let summary = explore(name, hundred, |_| {
        loop {
            std::hint::spin_loop();
        }
    });
    assert_all(&summary, Verdict::Hung, "still running after 100ms");
    assert!(
        summary.unfinished == Some(Unfinished::Hangs) && summary.progress.done < 20,
        "{}",
        tell(&summary)
    );
    assert!(tell(&summary).contains("too many seeds hung: the others were not run"));
}

#[test]
fn an_exploration_that_is_stopped_tells_of_the_seeds_that_have_ended() {
    let path = "failures::an_exploration_that_is_stopped_tells_of_the_seeds_that_have_ended";
    let case =
        Case::of_test(path, Shape { calm: true, ..Shape::default() }, |_| panic!("the shelf is empty"));
    let plan = Plan::of(0..1_000_000);
    let stop = plan.stop.clone();
    let summary = case.explore(&plan, |progress, _| stop.store(progress.done > 2, Ordering::Relaxed));
    let summary = summary.expect("seeds can run here");
    assert_all(&summary, Verdict::Panicked, "the shelf is empty");
    assert_eq!(summary.unfinished, Some(Unfinished::Stopped));
    assert!(tell(&summary).contains("it was stopped: the other seeds were not run"), "{}", tell(&summary));
}

#[test]
fn a_process_that_waits_outside_the_simulation_is_killed_too() {
    let name = "a_process_that_waits_outside_the_simulation_is_killed_too";
    let limit = |plan: &mut Plan| plan.limit = Duration::from_millis(300);
    let summary = explore(name, limit, |_| {
        let (kept, never) = std::sync::mpsc::channel::<()>();
        let _ = never.recv();
        drop(kept);
    });
    assert_all(&summary, Verdict::Hung, "still running after 300ms");
}

#[test]
fn an_order_by_addresses_is_not_deterministic_and_told_by_its_first_different_line() {
    fn tell_an_address() {
        let boxed = Box::new(7_u8);
        tracing::info!(address = std::ptr::from_ref(&*boxed).addr(), "this tells an address");
    }
    let name = "an_order_by_addresses_is_not_deterministic_and_told_by_its_first_different_line";
    let summary = explore(name, |plan| plan.twice = true, |sim| one_host(sim, tell_an_address));
    // A system may have been told to randomise nothing at all.
    let setting = std::fs::read_to_string("/proc/sys/kernel/randomize_va_space").unwrap_or_default();
    if setting.trim() != "0" {
        assert_all(&summary, Verdict::Nondeterministic, "two processes ran this seed differently");
        assert_all(&summary, Verdict::Nondeterministic, "this tells an address");
    }
}

#[test]
fn what_depends_on_the_environment_is_not_deterministic() {
    let name = "what_depends_on_the_environment_is_not_deterministic";
    let summary = explore(
        name,
        |plan| plan.twice = true,
        |sim| {
            let length: usize = std::env::vars().map(|(name, value)| name.len() + value.len()).sum();
            sim.violation(format!("{length} bytes of environment"));
        },
    );
    assert_all(&summary, Verdict::Nondeterministic, "two processes ran this seed differently");
}

#[test]
fn places_in_memory_are_the_same_for_each_seed_where_the_system_allows_it() {
    let name = "places_in_memory_are_the_same_for_each_seed_where_the_system_allows_it";
    let summary = explore(
        name,
        |plan| plan.seeds = 0..10,
        |sim| {
            let boxed = Box::new(7_u8);
            let (heap, code) = (std::ptr::from_ref(&*boxed).addr(), (one_host as *const ()).addr());
            sim.violation(format!("heap {heap:x}, code {code:x}"));
        },
    );
    assert_eq!(summary.failures.len(), 10, "{}", tell(&summary));
    if !summary.random_addresses {
        assert_all(&summary, Verdict::Unsafe, "heap");
        let findings: Vec<_> = summary.failures.iter().map(|failure| &failure.outcome.findings).collect();
        assert!(findings.iter().all(|each| *each == findings[0]), "{findings:?}");
    }
}

#[test]
fn a_test_that_does_not_exist_is_not_taken_for_a_seed() {
    let case = Case::of_test("no::such::test", Shape::default(), |_| {});
    let error = case.explore(&Plan::of(0..3), |_, _| {}).expect_err("there is nothing to come back to");
    assert!(error.to_string().contains("did not come to `no::such::test` again"), "{error}");
}
