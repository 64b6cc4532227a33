//! Two documents that lead to one machine, which only shows when it is looked at.

use std::fs;
use std::time::Duration;

use super::world::{World, contained};

#[test]
fn of_two_nodes_that_are_one_machine_the_second_one_fails_before_anything_is_touched() {
    if !contained(
        "twins::of_two_nodes_that_are_one_machine_the_second_one_fails_before_anything_is_touched",
    ) {
        return;
    }
    let world = World::new(64, 2);
    fs::write(world.path("twins"), "").expect("written");
    let mut command = world.command(&["apply", "--auto-approve", "--parallel", "1"]);
    let mut apply = world.start("apply", &mut command);
    assert_eq!(apply.end(Duration::from_secs(20)), 7);
    let said = apply.said("out");
    assert!(said.contains("DUPLICATE_MACHINE"), "{said}");
    assert!(said.contains("the machine of `node/web-1`"), "{said}");
    // The playbook that changes a node has begun on one of them.
    assert_eq!((world.begun(), world.count("succeeded")), (1, 1));
    let ran = world.run(&["get", "nodes", "-o", "json"]).expect(0);
    assert!(!ran.stdout.contains("node/web-2"), "{}", ran.stdout);
    world.assert_sound();

    // With machines of their own it goes on.
    fs::remove_file(world.path("twins")).expect("removed");
    let again = world.run(&["apply", "--auto-approve"]).expect(0);
    assert_eq!(world.count("succeeded"), 2, "{}", again.stdout);
}
