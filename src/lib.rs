//! A lock-free context tree.
