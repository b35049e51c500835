//! What may and may not stand in source files.

use super::{files, report, root, short};
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 600;

/// Rust files of the main workspace.
fn sources() -> Vec<PathBuf> {
    let peers = root().join("tests/peers");
    files(&root(), &[".rs"]).into_iter().filter(|p| !p.starts_with(&peers)).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a source file is UTF-8")
}

/// Lines outside comments, numbered from 1, up to the tests at the end of the file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..tests]
        .lines()
        .enumerate()
        .map(|(i, l)| (i + 1, l))
        .filter(|(_, l)| !l.trim_start().starts_with("//"))
}

/// Complaints about each code line of the files that contains one of the words.
fn lines_with(paths: &[PathBuf], words: &[&str]) -> Vec<String> {
    let mut complaints = Vec::new();
    for path in paths {
        for (number, line) in code(&read(path)) {
            for word in words.iter().filter(|w| line.contains(**w)) {
                complaints.push(format!("{}:{number}: {word}", short(path)));
            }
        }
    }
    complaints
}

fn below(folder: &str) -> Vec<PathBuf> {
    files(&root().join(folder), &[".rs"])
}

#[test]
fn ractor_stays_inside_of_supervision_and_none_of_its_registries_is_used() {
    let supervision = root().join("runtime/src/supervision");
    let (inside, outside): (Vec<_>, Vec<_>) =
        below("runtime/src").into_iter().partition(|path| path.starts_with(&supervision));
    let mut complaints = lines_with(&outside, &["ractor::"]);
    complaints.extend(lines_with(&inside, &["ractor::registry", "ractor::pg", "pub use ractor"]));
    report("supervision is what ractor is used for, and nobody else sees it", &complaints);
}

#[test]
fn no_file_grows_into_a_monster() {
    let complaints: Vec<_> = sources()
        .iter()
        .map(|p| (p, read(p).lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(p, lines)| format!("{}: {lines} lines, {LINES_MAX} at the most", short(p)))
        .collect();
    report("a file that long hides a noun: split it", &complaints);
}

#[test]
fn every_file_opens_with_its_place_in_the_whole() {
    let ui = root().join("tests/ui");
    let complaints: Vec<_> = sources()
        .iter()
        .filter(|p| !p.starts_with(&ui) && !read(p).starts_with("//!"))
        .map(|p| short(p))
        .collect();
    report("a file opens with `//!`", &complaints);
}

#[test]
fn unsafe_code_lives_in_the_simulated_operating_system_only() {
    let os = root().join("simulator/os");
    let others: Vec<_> = sources().into_iter().filter(|p| !p.starts_with(&os)).collect();
    // tests/ui has what must not compile
    let exempt = [root().join("tests/tidy"), root().join("tests/ui")];
    let others: Vec<_> = others.into_iter().filter(|p| !exempt.iter().any(|e| p.starts_with(e))).collect();
    report(
        "unsafe outside simulator/os",
        &lines_with(&others, &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"]),
    );
}

#[test]
fn the_runtime_never_mentions_the_simulator() {
    let mut paths = below("runtime");
    paths.extend(below("actors"));
    let words = ["odeon_simulator", "cfg(sim", "is_simulated", "libc::"];
    report("production code has no switches for the simulator", &lines_with(&paths, &words));
}

#[test]
fn only_the_seams_start_threads() {
    let host = root().join("runtime/src/host");
    let daemon = root().join("actors/daemon");
    let mut paths: Vec<_> = below("runtime/src").into_iter().filter(|p| !p.starts_with(&host)).collect();
    paths.extend(below("actors").into_iter().filter(|p| !p.starts_with(&daemon)));
    paths.retain(|p| !short(p).contains("test"));
    let words = ["thread::spawn", "thread::Builder", "spawn_blocking", "block_in_place"];
    report("threads belong to runtime/src/host and to the daemon", &lines_with(&paths, &words));
}

#[test]
fn tasks_belong_to_an_executor_of_a_node() {
    let mut paths = below("runtime/src");
    paths.extend(below("actors/src"));
    paths.retain(|p| !short(p).contains("test"));
    report("tokio's ambient spawn outlives a crash", &lines_with(&paths, &["tokio::spawn(", "task::spawn("]));
}

#[test]
fn cores_hold_no_map_of_random_order() {
    let paths = below("runtime/core/src");
    report(
        "random order reaches decisions",
        &lines_with(&paths, &["HashMap", "HashSet", "Instant::now", "SystemTime"]),
    );
}

#[test]
fn no_process_wide_state() {
    let mut paths = below("runtime/src");
    paths.extend(below("runtime/core/src"));
    paths.extend(below("actors/src"));
    let words = ["static mut", "LazyLock", "lazy_static", "once_cell", "static ref"];
    let mut complaints = lines_with(&paths, &words);
    for path in &paths {
        for (number, line) in code(&read(path)) {
            let line = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            // thread_local!: what is in place during a poll (ambient, ending), which shard a thread turns (wheel),
            // and that whoever runs on it should let others run (turn): said too often it costs a turn, whosever it is
            let exempt = ["cell/ambient.rs", "cell/ending.rs", "cell/turn.rs", "cell/wheel.rs"]
                .iter()
                .any(|e| short(path).ends_with(e));
            if line.starts_with("static ") && !exempt {
                complaints.push(format!("{}:{number}: static", short(path)));
            }
        }
    }
    report("many nodes live in one process", &complaints);
}

#[test]
fn every_point_of_the_reach_table_is_somewhere_in_the_code() {
    let list = root().join("runtime/src/reach.rs");
    let others: Vec<_> = below("runtime/src").into_iter().filter(|path| *path != list).collect();
    let text: String = others.iter().map(|path| read(path)).collect();
    let points = read(&list);
    let points = code(&points).filter_map(|(_, line)| line.trim().split_once(" = \"")).map(|(name, _)| name);
    let points = points.filter(|name| !name.contains(' '));
    let (mut count, mut complaints) = (0, Vec::new());
    for name in points {
        count += 1;
        if !text.contains(&format!("reached!({name})")) {
            complaints.push(format!("{name} is nowhere"));
        }
    }
    assert!(count > 40, "{count} points were found");
    report("what nothing can reach would be told as never reached", &complaints);
}

#[test]
fn nothing_is_left_unfinished() {
    let here = root().join("tests/tidy");
    let paths: Vec<_> = sources().into_iter().filter(|p| !p.starts_with(&here)).collect();
    let mut complaints = lines_with(&paths, &["todo!(", "unimplemented!(", "#[ignore"]);
    for path in &paths {
        for (i, line) in read(path).lines().enumerate() {
            if ["// TODO", "// FIXME", "// XXX"].iter().any(|w| line.contains(w)) {
                complaints.push(format!("{}:{}: unfinished mark", short(path), i + 1));
            }
        }
    }
    report("finish it or leave it out", &complaints);
}

#[test]
fn no_test_sleeps_on_the_real_clock() {
    let here = root().join("tests/tidy");
    let paths: Vec<_> = sources()
        .into_iter()
        .filter(|p| {
            short(p).contains("test") && !p.starts_with(&here) && !p.starts_with(root().join("simulator"))
        })
        .collect();
    report("await the fact instead", &lines_with(&paths, &["thread::sleep("]));
}

#[test]
fn every_link_in_the_documentation_leads_somewhere() {
    let mut complaints = Vec::new();
    for path in files(&root(), &[".md"]) {
        let text = read(&path);
        let folder = path.parent().expect("a file lies in a folder");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or("");
            if target.is_empty() || target.contains("://") {
                continue;
            }
            if !folder.join(target).exists() {
                complaints.push(format!("{}: {target}", short(&path)));
            }
        }
    }
    report("a link leads nowhere", &complaints);
}

#[test]
fn every_guarantee_has_its_test() {
    let text = read(&root().join("docs/GUARANTEES.md"));
    let tests: String = files(&root(), &[".rs"]).iter().map(|p| read(p)).collect();
    let mut complaints = Vec::new();
    let mut named = 0;
    for line in text.lines().filter(|l| l.starts_with("| ") && l.contains('`')) {
        let Some(name) = line.trim_end_matches(['|', ' ']).rsplit('|').next() else { continue };
        let name = name.trim();
        if name.starts_with('`') {
            named += 1;
            let name = name.trim_matches('`');
            if !tests.contains(&format!("fn {name}(")) {
                complaints.push(name.to_owned());
            }
        }
    }
    assert!(named > 30, "the table was read: {named}");
    report("a guarantee names a test that does not exist", &complaints);
}
