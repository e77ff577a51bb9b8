//! The watchdog itself: it barks, and says at what.

use super::tools::root;
use super::watchdog::{BARKED, in_child, watched};
use std::process::Output;
use std::sync::mpsc;

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_test_that_hangs_is_named_and_ended() {
    let hang = || {
        watched(|watch| {
            let (top, _handle) = root();
            let (_child, _keep) = top.derive().name("left-behind").build();
            watch.tree(&top);
            watch.count("rounds").add(41);
            watch.phase("waits for what never comes");
            let ctx = top.clone();
            watch.start("sleeper", move || ctx.wait());
            top.wait();
        });
    };
    in_child(hang, &[("CTXTREE_TEST_PATIENCE", "3")], |output| {
        let said = errors(output);
        assert_eq!(output.status.code(), Some(BARKED), "{said}");
        for part in [
            "watchdog: barks::a_test_that_hangs_is_named_and_ended did not end in ",
            "of CPU time",
            "phase: waits for what never comes",
            "rounds: 41",
            "left-behind",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        if cfg!(target_os = "linux") {
            assert!(said.contains("sleeper S"), "{said}");
        }
    });
}

#[test]
fn a_panic_of_any_thread_fails_the_test_at_once() {
    let fail = || {
        watched(|watch| {
            let (_send, receive) = mpsc::channel::<()>();
            watch.start("helper", || panic!("a helper has failed"));
            let _ = receive.recv();
        });
    };
    in_child(fail, &[], |output| {
        let said = errors(output);
        assert!(!output.status.success());
        assert_ne!(output.status.code(), Some(BARKED), "{said}");
        assert!(said.contains("a helper has failed"), "{said}");
    });
}
