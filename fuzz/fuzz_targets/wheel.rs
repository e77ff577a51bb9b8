//! `wheel` under libFuzzer; without it, a program that replays files.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|program: ctxtree_fuzz::wheel::Program| program.run());

#[cfg(not(fuzzing))]
fn main() {
    ctxtree_fuzz::replay_arguments::<ctxtree_fuzz::wheel::Program>();
}
