//! Programs that move keys without telling the wheel.

use super::{Oracle, Pick, Run, Tested, check, length, pick};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Lazy {
    Insert(Pick),
    Later(usize, u64),
    Earlier(usize, u64),
    Advance(Pick),
    Next,
}

fn lazy_programs(earlier: u32) -> impl Strategy<Value = Vec<Lazy>> {
    let op = prop_oneof![
        6 => pick().prop_map(Lazy::Insert),
        4 => (any::<usize>(), length()).prop_map(|(n, by)| Lazy::Later(n, by)),
        earlier => (any::<usize>(), length()).prop_map(|(n, by)| Lazy::Earlier(n, by)),
        4 => pick().prop_map(Lazy::Advance),
        2 => Just(Lazy::Next),
    ];
    // Few enough that `next` sees all.
    proptest::collection::vec(op, 1..30)
}

fn run_lazily(ops: &[Lazy]) {
    let mut run = Run {
        tested: Tested::new(0),
        oracle: Oracle::default(),
    };
    // The latest key that the wheel may go by, of those that wait.
    let mut known: BTreeMap<usize, u64> = BTreeMap::new();
    let mut any_earlier = false;
    let end = [Lazy::Advance(Pick::At(u64::MAX))];
    for op in ops.iter().chain(&end) {
        match *op {
            Lazy::Insert(pick) => {
                let key = run.key(pick);
                known.insert(run.tested.insert(key), key);
            }
            Lazy::Later(n, by) | Lazy::Earlier(n, by) => {
                let count = known.len().max(1);
                let Some((&number, known)) = known.iter_mut().nth(n % count) else {
                    continue;
                };
                let key = &run.tested.entry(number).key;
                if matches!(op, Lazy::Later(..)) {
                    key.set(key.get().saturating_add(by));
                    *known = key.get().max(*known);
                } else {
                    key.set(key.get().saturating_sub(by));
                    any_earlier = true;
                }
            }
            Lazy::Advance(pick) => {
                let to = run.key(pick);
                run.oracle.now = run.oracle.now.max(to);
                run.tested.advance(to);
            }
            Lazy::Next => {}
        }
        let now = run.oracle.now;
        assert_eq!(run.tested.wheel.now(), now);
        let popped = run.tested.pop_all();
        for number in &popped {
            assert!(run.tested.entry(*number).key.get() <= now, "{number} early");
            assert!(known.remove(number).is_some(), "{number} popped twice");
        }
        if !any_earlier {
            let keys: Vec<u64> = popped
                .iter()
                .map(|&n| run.tested.entry(n).key.get())
                .collect();
            assert!(keys.is_sorted(), "{keys:?}");
        }
        for (number, known) in &known {
            assert!(*known > now, "{number} late");
        }
        assert_eq!(run.tested.wheel.len(), known.len());
        if matches!(op, Lazy::Next) {
            let next = run.tested.next();
            let keys = known.keys().map(|&n| run.tested.entry(n).key.get());
            if any_earlier {
                assert!(next <= known.values().copied().min().or(next), "late");
                assert_eq!(next.is_some(), !known.is_empty());
            } else {
                assert_eq!(next, keys.min());
            }
            // What has moved earlier may be due by now.
            for number in run.tested.pop_all() {
                assert!(run.tested.entry(number).key.get() <= now, "{number} early");
                assert!(known.remove(&number).is_some());
            }
        }
    }
    assert_eq!(run.tested.wheel.len(), 0);
}

#[test]
fn a_key_moved_later_behind_its_back_is_due_at_its_tick() {
    check(2_000, lazy_programs(0), |ops| run_lazily(ops));
}

#[test]
fn a_key_moved_earlier_behind_its_back_is_due_at_its_old_tick_at_the_latest() {
    check(2_000, lazy_programs(3), |ops| run_lazily(ops));
}
