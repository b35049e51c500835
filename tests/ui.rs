//! What the compiler tells authors of contracts and services who made a mistake: each message stands in a `.stderr`
//! file beside its cause. `TRYBUILD=overwrite cargo test -p odeon-tests --test ui` writes them anew; review the diff.

#[test]
fn mistakes_are_told_in_plain_words_at_their_place() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("ui/*.rs");
}
