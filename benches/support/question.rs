//! One question: its contenders, its goals, the rounds and the table.

use super::stats::{Spread, figure};

type Round<'a> = Box<dyn FnMut() -> Vec<f64> + 'a>;

/// What the two sides are called in tables and goals.
pub(crate) const PEER: &str = "tokio-util";
const OURS: &str = "ctxtree";

struct Contender<'a> {
    name: &'static str,
    round: Round<'a>,
}

/// A limit on the first measure.
struct Goal {
    against: &'static str,
    limit: Limit,
}

#[derive(Clone, Copy)]
enum Limit {
    /// The median ratio must not exceed this.
    AtMost(f64),
    /// The ratios must not lie wholly above one.
    NoWorse,
    /// The median difference must not exceed this.
    Added(f64),
}

/// Whether one goal was met, and the line that says so.
pub(crate) struct Verdict {
    pub(crate) met: bool,
    pub(crate) line: String,
}

/// A question under construction. The first contender is always ours; each
/// round of each yields one number per measure.
pub(crate) struct Question<'a> {
    title: String,
    rounds: usize,
    quick: bool,
    in_order: bool,
    measures: &'a [&'static str],
    contenders: Vec<Contender<'a>>,
    goals: Vec<Goal>,
}

impl<'a> Question<'a> {
    pub(crate) fn new(title: &str, rounds: usize, quick: bool) -> Question<'a> {
        Question {
            title: title.to_owned(),
            rounds,
            quick,
            in_order: false,
            measures: &[""],
            contenders: Vec::new(),
            goals: Vec::new(),
        }
    }

    pub(crate) fn ours(self, round: impl FnMut() -> Vec<f64> + 'a) -> Self {
        self.contender(OURS, round)
    }

    pub(crate) fn peer(self, round: impl FnMut() -> Vec<f64> + 'a) -> Self {
        self.contender(PEER, round)
    }

    pub(crate) fn contender(
        mut self,
        name: &'static str,
        round: impl FnMut() -> Vec<f64> + 'a,
    ) -> Self {
        self.contenders.push(Contender {
            name,
            round: Box::new(round),
        });
        self
    }

    /// Names the numbers that a round yields, where it is more than one. Goals
    /// are about the first.
    pub(crate) fn measures(mut self, names: &'a [&'static str]) -> Self {
        self.measures = names;
        self
    }

    /// Fewer rounds, for questions whose rounds are long. Quick runs keep their
    /// own small number.
    pub(crate) fn rounds(mut self, rounds: usize) -> Self {
        if !self.quick {
            self.rounds = rounds;
        }
        self
    }

    /// Every round in the order of the contenders, for one that only hands out
    /// what another measured on the side.
    pub(crate) fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    /// At most this many times what the contender of that name takes.
    pub(crate) fn at_most(mut self, limit: f64, against: &'static str) -> Self {
        self.goals.push(Goal {
            against,
            limit: Limit::AtMost(limit),
        });
        self
    }

    /// Not to be told from the contender of that name, or better.
    pub(crate) fn no_worse_than(mut self, against: &'static str) -> Self {
        self.goals.push(Goal {
            against,
            limit: Limit::NoWorse,
        });
        self
    }

    /// At most this much more than the contender of that name takes.
    pub(crate) fn at_most_added(mut self, limit: f64, against: &'static str) -> Self {
        self.goals.push(Goal {
            against,
            limit: Limit::Added(limit),
        });
        self
    }

    pub(crate) fn run(mut self) -> Vec<Verdict> {
        for contender in &mut self.contenders {
            for _ in 0..2 {
                (contender.round)();
            }
        }
        let mut samples: Vec<Vec<Vec<f64>>> = vec![Vec::new(); self.contenders.len()];
        for round in 0..self.rounds {
            for turn in 0..self.contenders.len() {
                // Every other round backwards: what drifts during a round, or
                // what one contender leaves behind for the next, evens out.
                let backwards = round % 2 == 1 && !self.in_order;
                let who = if backwards {
                    self.contenders.len() - 1 - turn
                } else {
                    turn
                };
                samples[who].push((self.contenders[who].round)());
            }
        }
        self.report(&samples)
    }

    fn report(&self, samples: &[Vec<Vec<f64>>]) -> Vec<Verdict> {
        println!("{} ({} rounds)", self.title, self.rounds);
        println!("  {:<38}{:>10}   {:>10} .. p90", "", "median", "p10");
        let mut verdicts = Vec::new();
        for (measure, name) in self.measures.iter().enumerate() {
            let series = |who: usize| samples[who].iter().map(move |round| round[measure]);
            for (who, contender) in self.contenders.iter().enumerate() {
                let all = Spread::of(series(who));
                let label = format!("{}{}{name}", contender.name, gap(name));
                println!(
                    "  {label:<38}{:>10}   {:>10} .. {}",
                    figure(all.median),
                    figure(all.p10),
                    figure(all.p90),
                );
            }
            for (who, contender) in self.contenders.iter().enumerate().skip(1) {
                let ratios = series(0).zip(series(who)).map(|(ours, other)| ours / other);
                let all = Spread::of(ratios);
                let goal = self
                    .goals
                    .iter()
                    .find(|g| measure == 0 && g.against == contender.name);
                let label = format!("ratio to {}{}{name}", contender.name, gap(name));
                let mut line = format!(
                    "{label:<38}{:>10.3}   {:>10.3} .. {:.3}",
                    all.median, all.p10, all.p90,
                );
                let added =
                    Spread::of(series(0).zip(series(who)).map(|(ours, other)| ours - other));
                if let Some(goal) = goal {
                    let (met, text) = judge(goal.limit, all, added);
                    if let Limit::Added(_) = goal.limit {
                        line.push_str(&format!(
                            "   {:.1} more ({:.1} .. {:.1})",
                            added.median, added.p10, added.p90,
                        ));
                    }
                    line.push_str(&format!("   goal {text}"));
                    if !self.quick {
                        line.push_str(if met { ": met" } else { ": MISSED" });
                        let line =
                            format!("{}, {label}: {:.3}, goal {text}", self.title, all.median);
                        verdicts.push(Verdict { met, line });
                    }
                }
                println!("  {line}");
            }
        }
        println!();
        verdicts
    }
}

fn judge(limit: Limit, ratios: Spread, added: Spread) -> (bool, String) {
    match limit {
        Limit::AtMost(most) => (ratios.median <= most, format!("{most:.2} or less")),
        Limit::Added(most) => (added.median <= most, format!("{most:.0} more or less")),
        Limit::NoWorse => (ratios.p10 <= 1.0, "no worse".to_owned()),
    }
}

fn gap(name: &str) -> &'static str {
    if name.is_empty() { "" } else { ", " }
}
