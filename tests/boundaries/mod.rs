//! Attacks, one file for each actor: a hostile node, a site, its neighbours, a commit, a request. Each test does
//! what the actor would do, and looks at what it got. `guards run` shows that each of them fails without what
//! holds it.

use crate::support::World;

/// What is tried on a world, by its name.
type Case = (&'static str, fn(&World));

/// Functions as cases, for [`in_turn`].
macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        &[$((stringify!($case), $case)),+]
    };
}

mod commit;
mod confined;
mod endpoint;
mod neighbours;
mod node;
mod site;

/// Carries out the cases one after the other: all of them, or the one that `PRESSLUFT_CASE` names.
fn in_turn(world: &World, cases: &[Case]) {
    let only = std::env::var("PRESSLUFT_CASE").ok();
    let is_meant = |name: &str| only.as_ref().is_none_or(|only| only == name);
    assert!(
        cases.iter().any(|(name, _)| is_meant(name)),
        "there is no case `{only:?}`"
    );
    for (_, case) in cases.iter().filter(|(name, _)| is_meant(name)) {
        case(world);
    }
}
