#[test]
fn pasted_wheel() {
    use ctxtree_fuzz::wheel::{Program, Step::*, Then, When::*};
    let program = Program {
        driven: true,
        newest_first: true,
        steps: vec![
            Deadline { below: 255, at: In(524288), then: Then(vec![Deadline { below: 255, at: In(524288), then: Then(vec![]) }, Deadline { below: 255, at: In(0), then: Then(vec![]) }, Count]) },
            Deadline { below: 255, at: In(524288), then: Then(vec![Deadline { below: 255, at: In(524288), then: Then(vec![]) }, Cancel { slot: 0 }]) },
            Deadline { below: 255, at: In(1048576), then: Then(vec![Drop { slot: 0 }, Drop { slot: 0 }]) },
            Advance { by: 2621440 },
            Run,
            Advance { by: 2621440 },
            Run,
        ],
    };
    ctxtree_fuzz::run(&program);
}
