//! The node's lines in the history of its cluster. They outlive the process, which nothing else here does when it begins
//! anew.

use odeon::core::Timestamp;
use odeon::prelude::*;
use odeon::remote::Links;
use odeon_tests::history::{Event, HISTORY_VARIABLE, Line};
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// What all of the node's activations write.
#[derive(Default)]
pub(crate) struct Diary {
    /// None: nobody wants to know.
    file: Option<File>,
    lives: AtomicU64,
    calls: AtomicU64,
    callers: AtomicU64,
    is_over: AtomicBool,
}

impl Diary {
    /// At the end of what others have written.
    pub(crate) fn open() -> Self {
        let open = |path| File::options().append(true).create(true).open(path);
        let file = std::env::var_os(HISTORY_VARIABLE).map(open);
        Self { file: file.transpose().expect("the history can be written"), ..Self::default() }
    }

    /// One line, by one write: those of several processes come one after the other, each whole.
    pub(crate) fn write(&self, cx: &Cx, event: Event) {
        let Some(mut file) = self.file.as_ref() else { return };
        let at_ms = cx.now().since(Timestamp::ZERO).as_millis() as u64;
        let mut line =
            serde_json::to_vec(&Line { node: node(cx), at_ms, event }).expect("it is made of plain values");
        line.push(b'\n');
        file.write_all(&line).expect("the history can be written");
    }

    /// The number of an activation that begins.
    pub(crate) fn life(&self) -> u64 {
        self.lives.fetch_add(1, SeqCst)
    }

    /// The number of a call.
    pub(crate) fn call(&self) -> u64 {
        self.calls.fetch_add(1, SeqCst)
    }

    /// A caller begins.
    pub(crate) fn enter(&self) {
        self.callers.fetch_add(1, SeqCst);
    }

    /// A caller has come to its end.
    pub(crate) fn leave(&self, cx: &Cx) {
        if self.callers.fetch_sub(1, SeqCst) == 1 {
            self.write(cx, Event::Rested { calls: self.calls.load(SeqCst) });
        }
    }

    /// No more is to be called.
    pub(crate) fn end(&self) {
        self.is_over.store(true, SeqCst);
    }

    /// Whether no more is to be called.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }
}

/// What this node is called, with its incarnation.
pub(crate) fn node(cx: &Cx) -> String {
    let links = cx.node().and_then(|node| Links::of(&node));
    links.map_or_else(|| cx.service_name().to_string(), |links| links.node().to_string())
}
