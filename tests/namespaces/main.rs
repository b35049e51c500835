//! Real processes that call each other, each in a network namespace of its own whose link goes down and up under load:
//! the books balance, and who reads along sees nothing in clear.
//!
//! Needs Linux, root and `ip` (iproute2). Where they are missing the tests pass and say so on standard error; with
//! `ODEON_REQUIRE_NAMESPACES=1` they fail.
#![cfg(target_os = "linux")]

mod books;
mod capture;
mod daemon;
mod net;
mod story;

use net::Cut;
use story::Story;

#[tokio::test]
async fn two_processes_account_for_each_message_though_their_link_fails() {
    let Some(mut story) = Story::begin("two", &["north", "south"]).await else { return };
    story.outage("south", Cut::Cable).await;
    story.outage("north", Cut::Interface).await;
    story.rest().await;
    assert_eq!(story.accounts_are_true(), 0, "lost");
}

#[tokio::test]
async fn three_processes_account_for_each_message_though_links_fail_and_nothing_is_readable() {
    let Some(mut story) = Story::begin("three", &["north", "south", "west"]).await else { return };
    story.outage("south", Cut::Interface).await;
    story.long_outage("south", Cut::Cable).await;
    story.outage("west", Cut::Cable).await;
    story.long_outage("west", Cut::Interface).await;
    story.rest().await;
    assert_eq!(story.accounts_are_true(), 0, "lost");
    story.nothing_was_readable().await;
}

#[tokio::test]
async fn two_processes_say_what_is_lost_when_an_outage_outlasts_their_patience() {
    let Some(mut story) = Story::begin("patience", &["north", "south"]).await else { return };
    story.lasting_outage("south", Cut::Cable).await;
    story.rest().await;
    assert!(story.accounts_are_true() > 0, "an outage of half a minute has lost something");
}
