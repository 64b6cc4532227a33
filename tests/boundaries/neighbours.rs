//! A site against its neighbours: what it sees of them, and what it can take from them.
