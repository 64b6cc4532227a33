//! The status endpoint from the outside: a real database, a real server, real HTTP.

#[cfg(test)]
mod access;
#[cfg(test)]
mod api;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod client;
#[cfg(test)]
mod events;
#[cfg(test)]
mod flood;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod hook;
#[cfg(test)]
mod login;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod strict;
#[cfg(test)]
mod webdriver;
#[cfg(test)]
mod world;
