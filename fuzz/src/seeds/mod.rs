//! Programs to start from: what has gone wrong in other systems.
//!
//! The numbers in the names are those of the list of pitfalls. They are stored in
//! `fuzz/seeds`, where libFuzzer finds them, and the tests replay them; how they
//! are written there is said in `fuzz/README.md`.

mod cancel_attach;
mod ops;
mod wheel;

/// Names, and the bytes of each.
pub type Seeds = Vec<(&'static str, Vec<u8>)>;

/// The names of the targets, and the seeds of each.
pub fn all() -> Vec<(&'static str, Seeds)> {
    vec![
        ("ops", ops::all()),
        ("cancel_attach", cancel_attach::all()),
        ("wheel", wheel::all()),
    ]
}
