//! The mutation gate: every seeded bug must turn a model red.
//!
//! A weak compare-and-swap that fails without a reason is planted like a bug,
//! but is none: its model must meet it and stay green.
//!
//! `loom-tests/mutants.txt` names for each bug the model that finds it, or says
//! after a `-` why none can. That the models pass unharmed, and meet nothing that
//! the list does not name, `cargo loom` shows; what is listed and not met is not
//! found either.
//!
//! | call | does |
//! |---|---|
//! | `mutants` | plants each bug of the list, and requires its model to fail |
//! | `mutants BUG` | the same for one bug, showing how the model fails |
//! | `mutants --plant BUG MODEL` | plants one bug, and runs one model; also under shuttle, where `histories` is a model, too |
//! | `mutants --find` | runs every model unharmed for the bugs it could have, looks for a model for each that has none, and rewrites the list |

#[cfg(not(any(crossbeam_loom, ctxtree_shuttle)))]
fn main() {
    eprintln!("mutants: build with --cfg crossbeam_loom; `cargo mutants-gate` does");
    std::process::exit(2);
}

#[cfg(any(crossbeam_loom, ctxtree_shuttle))]
fn main() {
    gate::main();
}

#[cfg(any(crossbeam_loom, ctxtree_shuttle))]
mod gate {
    use ctxtree::model::harness::Bug;
    use loom_tests::{Model, bugs, models, run};
    use std::collections::BTreeSet;
    use std::io::Read;
    use std::process::{Child, Command, Stdio, exit};
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    /// What a bug may take to be found. A bug may also make a model endless.
    const PATIENCE: Duration = Duration::from_secs(120);

    pub(super) fn main() {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match args[..] {
            [] => all(),
            ["--find"] => find(),
            ["--seen", model] => seen(model),
            ["--plant", bug, model] => plant(bug, model),
            [bug] if Bug::parse(bug).is_some() => show(bug),
            _ => {
                eprintln!("usage: mutants [--find | BUG], with BUG as in loom-tests/mutants.txt");
                exit(2);
            }
        }
    }

    fn model(name: &str) -> &'static Model {
        models::ALL
            .iter()
            .find(|model| model.name == name)
            .unwrap_or_else(|| {
                eprintln!("mutants: no model is called `{name}`");
                exit(2)
            })
    }

    /// Runs one model, and prints what it took and the bugs it could have.
    fn seen(name: &str) {
        let outcome = run(model(name));
        eprintln!("unharmed {name}: {outcome}");
        println!("took {} {name}", outcome.time.as_micros());
        for bug in Bug::seen() {
            println!("bug {bug:?}");
        }
    }

    /// All models, the quickest first, and the bugs that each could have.
    fn unharmed() -> Vec<(&'static Model, BTreeSet<String>)> {
        let ran = in_parallel(models::ALL, |model| {
            let this = std::env::current_exe().expect("this program has a path");
            let output = Command::new(this)
                .args(["--seen", model.name])
                .stderr(Stdio::inherit())
                .output()
                .expect("this program can run itself");
            assert!(output.status.success(), "{} fails unharmed", model.name);
            String::from_utf8(output.stdout).expect("names are ASCII")
        });
        let mut took: Vec<(u64, &Model, BTreeSet<String>)> = Vec::new();
        for line in ran.iter().flat_map(|text| text.lines()) {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["took", micros, name] => took.push((
                    micros.parse().expect("a number"),
                    model(name),
                    BTreeSet::new(),
                )),
                ["bug", bug] => {
                    let (_, _, bugs) = took.last_mut().expect("the model comes first");
                    bugs.insert(bug.to_owned());
                }
                _ => {}
            }
        }
        took.sort_by_key(|(micros, _, _)| *micros);
        let took = took.into_iter();
        took.map(|(_, model, bugs)| (model, bugs)).collect()
    }

    /// Runs one model with one bug. Fails if the bug is found.
    fn plant(bug: &str, name: &str) {
        let planted = Bug::parse(bug).expect("a bug of the list");
        planted.plant();
        #[cfg(ctxtree_shuttle)]
        if name == "histories" {
            let schedules = loom_tests::schedules::wanted(100_000);
            let ran = loom_tests::histories::explore(loom_tests::Epochs::Kept, schedules);
            println!("survived {bug} {name}: {ran} executions");
            return;
        }
        let outcome = run(model(name));
        if planted.is_borne() {
            assert!(Bug::seen().contains(&planted), "{name} never meets {bug}");
        }
        println!("survived {bug} {name}: {outcome}");
    }

    fn is_borne(bug: &str) -> bool {
        Bug::parse(bug).is_some_and(Bug::is_borne)
    }

    #[derive(PartialEq)]
    enum Verdict {
        Killed,
        Survived,
        /// The model did not end in time.
        Late,
    }

    impl Verdict {
        fn is_right_for(&self, bug: &str) -> bool {
            *self
                == if is_borne(bug) {
                    Self::Survived
                } else {
                    Self::Killed
                }
        }
    }

    fn spawn(bug: &str, model: &str, quiet: bool) -> Child {
        let this = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(this);
        command.args(["--plant", bug, model]);
        if quiet {
            command.stderr(Stdio::null());
        }
        command
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can run itself")
    }

    fn attempt(bug: &str, model: &str, patience: Duration) -> Verdict {
        let start = Instant::now();
        let mut child = spawn(bug, model, true);
        loop {
            if child
                .try_wait()
                .expect("a child can be waited for")
                .is_some()
            {
                let mut output = String::new();
                let mut pipe = child.stdout.take().expect("it was piped");
                pipe.read_to_string(&mut output).expect("it prints ASCII");
                // Not by the exit code: a double panic aborts, which is as red.
                return if output.contains("survived") {
                    Verdict::Survived
                } else {
                    Verdict::Killed
                };
            }
            if start.elapsed() > patience {
                let _ = child.kill();
                let _ = child.wait();
                return Verdict::Late;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn show(bug: &str) {
        let list = bugs::read();
        let Some(model) = list.get(bug) else {
            eprintln!("mutants: no model is known to find `{bug}`");
            exit(1);
        };
        let output = spawn(bug, model, false)
            .wait_with_output()
            .expect("a child can be waited for");
        print!("{}", String::from_utf8_lossy(&output.stdout));
        println!("{bug} with {model}: {}", output.status);
    }

    /// Runs `work` over `items` on as many threads as there are cores.
    fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
        let next = Mutex::new(0);
        let results = Mutex::new(Vec::new());
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        std::thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    loop {
                        let at = {
                            let mut next = next.lock().expect("no worker panics here");
                            *next += 1;
                            *next - 1
                        };
                        let Some(item) = items.get(at) else { return };
                        let result = work(item);
                        results.lock().expect("no worker panics here").push(result);
                    }
                });
            }
        });
        results.into_inner().expect("no worker panics here")
    }

    fn all() {
        let start = Instant::now();
        let list = bugs::read();
        let (excused, listed): (Vec<_>, Vec<_>) =
            list.iter().partition(|(_, model)| model.starts_with("- "));
        let named = |name: &str| models::ALL.iter().any(|model| model.name == name);
        let no_bugs = list.keys().filter(|bug| Bug::parse(bug).is_none());
        let no_models = listed.iter().map(|(_, model)| *model);
        let no_models = no_models.filter(|model| !named(model));
        let faults: Vec<&String> = no_bugs.chain(no_models).collect();
        for (bug, why) in &excused {
            println!("excused {bug} {why}");
        }
        let found = in_parallel(&listed, |(bug, model)| {
            let start = Instant::now();
            let right = attempt(bug, model, PATIENCE).is_right_for(bug);
            let word = match (is_borne(bug), right) {
                (false, true) => "killed",
                (false, false) => "SURVIVED",
                (true, true) => "borne",
                (true, false) => "NOT BORNE",
            };
            println!(
                "{word} {bug} by {model}, {:.2} s",
                start.elapsed().as_secs_f64()
            );
            (is_borne(bug), right)
        });
        let count = |what| found.iter().filter(|&&one| one == what).count();
        let (killed, survived) = (count((false, true)), count((false, false)));
        let (borne, not_borne) = (count((true, true)), count((true, false)));
        for fault in &faults {
            println!("{fault} is listed, but is no bug, or no model");
        }
        println!(
            "mutants: {killed} killed, {survived} survived, {} faults in the list, {} excused, \
             {borne} spurious failures borne, {not_borne} not, {:.0} s",
            faults.len(),
            excused.len(),
            start.elapsed().as_secs_f64()
        );
        if survived > 0 || not_borne > 0 || !faults.is_empty() || killed == 0 {
            exit(1);
        }
    }

    fn find() {
        let mut list = bugs::read();
        let models = unharmed();
        let possible: BTreeSet<&String> = models.iter().flat_map(|(_, bugs)| bugs).collect();
        list.retain(|bug, _| possible.contains(bug));
        let missing: Vec<&String> = possible
            .into_iter()
            .filter(|bug| !list.contains_key(*bug))
            .collect();
        let found = in_parallel(&missing, |bug| {
            let meets = models.iter().filter(|(_, bugs)| bugs.contains(*bug));
            let shows = meets
                .map(|(model, _)| model.name)
                .find(|name| attempt(bug, name, Duration::from_secs(8)).is_right_for(bug));
            println!("{bug}: {}", shows.unwrap_or("NONE"));
            ((*bug).clone(), shows)
        });
        for (bug, shows) in found {
            if let Some(model) = shows {
                list.insert(bug, model.to_owned());
            }
        }
        bugs::write(&list);
    }
}
