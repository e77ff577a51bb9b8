//! Model harness.
