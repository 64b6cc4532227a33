//! Secrets: the library against real files, and `pressluft secret` as a program.

#[cfg(test)]
mod command;
#[cfg(test)]
mod library;
#[cfg(test)]
mod owners;
