//! A commit against the control plane, against other sites, and against the nodes.
