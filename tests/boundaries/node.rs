//! A hostile node against the control plane.
