//! How much memory a cell takes. Millions of entities are idle at the same time.

use super::*;
use crate::cell::drive::drive;
use crate::cell::shared::Shared;

/// Does nothing, so that all that is left is the cell's own.
struct Nothing;

impl Service for Nothing {
    type Contract = ProbeRef;

    async fn shared(&self, _: &Cx, message: Ask) {
        drop(message);
    }

    async fn exclusive(&mut self, _: &Cx, message: Ask) {
        drop(message);
    }
}

#[tokio::test]
async fn an_idle_cell_is_small() {
    let world = World::new();
    let constructor = Constructor::plain(|| Nothing);
    let shared = Arc::new(Shared::new(ActivationId(1), world.kind(), 0, None));
    let task = drive(shared.clone(), constructor);
    let (outlives, task) = (size_of_val(&*shared), size_of_val(&task));
    println!(
        "shared {outlives} B, task {task} B, envelope {} B, context {} B",
        size_of::<Envelope<Ask>>(),
        size_of::<Cx>()
    );
    assert!(outlives <= 224, "what outlives activations takes {outlives} B");
    assert!(task <= 600, "a task takes {task} B");
}
