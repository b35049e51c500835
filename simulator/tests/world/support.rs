//! What the tests of the world share: fresh threads, and words for finding recorded lines.

use odeon_simulator::{Options, Report, Simulation};

/// Runs a simulation on a thread of its own, as each needs it, and hands back what the closure returns.
pub(crate) fn on_fresh_thread<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> R {
    let thread =
        std::thread::Builder::new().stack_size(8 << 20).spawn(run).expect("a thread for a simulation");
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A calm world for this seed, set up and run by `script`, on a fresh thread.
pub(crate) fn simulate(options: Options, script: impl FnOnce(&mut Simulation) + Send + 'static) -> Report {
    on_fresh_thread(move || {
        let mut simulation = Simulation::new(options, true);
        script(&mut simulation);
        simulation.finish()
    })
}

/// What one host said, without time and name.
pub(crate) fn said(report: &Report, host: &str) -> Vec<String> {
    let mark = format!(" {host:<8} ");
    let lines = report.lines.iter().filter_map(|line| line.split_once(mark.as_str()));
    lines.map(|(_, text)| text.to_owned()).collect()
}

/// Whether a host said a line that contains this.
pub(crate) fn has_said(report: &Report, host: &str, text: &str) -> bool {
    said(report, host).iter().any(|line| line.contains(text))
}

/// Fails with all lines when the run was not clean.
pub(crate) fn assert_clean(report: &Report) {
    assert!(report.is_clean(), "{report}");
}
