//! Real processes that call each other, each in a network namespace of its own whose link goes down and up under load:
//! the books balance, and who reads along sees nothing in clear. Members of a cluster, of which one is cut off, or has a
//! full disk: their shop sells on, and charges nobody twice.
//!
//! Needs Linux, root, `ip` (iproute2), and `nsenter` and `mount` (util-linux). Where there can be no namespaces the tests
//! pass and say so on standard error; with `ODEON_REQUIRE_NAMESPACES=1` they fail.
#![cfg(target_os = "linux")]

mod books;
mod capture;
mod cluster;
mod daemon;
mod disk;
mod laws;
mod net;
mod sales;
mod story;

use cluster::Cluster;
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

#[tokio::test]
async fn a_member_that_is_cut_off_under_load_has_nothing_any_more_and_comes_back_in_its_process() {
    let Some(mut cluster) = Cluster::begin("cut-off", None).await else { return };
    let (_, host) = cluster.leader_and_other().await;
    cluster.cut_off(host).await;
    cluster.rest(host).await;
}

#[tokio::test]
async fn so_does_the_one_that_leads_the_cluster_group() {
    let Some(mut cluster) = Cluster::begin("leader-cut-off", None).await else { return };
    let (host, _) = cluster.leader_and_other().await;
    cluster.cut_off(host).await;
    cluster.rest(host).await;
}

#[tokio::test]
async fn a_member_whose_disk_is_full_says_so_and_ends_and_the_others_go_on_until_it_is_started_with_room() {
    let Some(mut cluster) = Cluster::begin("full-disk", Some("south")).await else { return };
    cluster.fill_disk("south").await;
    cluster.rest("south").await;
}
