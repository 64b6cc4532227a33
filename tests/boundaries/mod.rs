//! Attacks, one file for each actor: a hostile node, a site, its neighbours, a commit, a request. Each test does
//! what the actor would do, and looks at what it got.

mod commit;
mod confined;
mod endpoint;
mod neighbours;
mod node;
mod site;
