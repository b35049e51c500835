//! Decides what a supervisor does when a child ends.
