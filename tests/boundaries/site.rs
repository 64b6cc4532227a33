//! A site against its node: what it wrote is interpreted with its own rights.
