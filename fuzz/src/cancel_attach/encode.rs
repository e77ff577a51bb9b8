//! From a program to bytes, for the seeds.

use super::{Act, Program, Script, Step};

/// How many kinds of [`Act`] there are.
const ACTS: u64 = 12;

impl Program {
    /// Bytes that are decoded to this program.
    pub fn encode(&self) -> Vec<u8> {
        let scripts = self.scripts();
        let mut bytes = vec![scripts.len() as u8 - 2];
        let drop_all = |script: &&Script| u8::from(script.drop_all);
        bytes.extend(scripts.iter().map(drop_all).chain([0]).take(3));
        bytes.push(self.tree.len() as u8 - 1);
        for seed in &self.tree {
            let flags = [u8::from(seed.shielded), u8::from(seed.split)];
            bytes.push(seed.parent);
            bytes.extend(flags);
            bytes.extend([seed.waits, seed.holders]);
        }
        for (thread, script) in scripts.into_iter().enumerate() {
            for Step { spin, act } in &script.steps {
                bytes.extend([thread as u8, *spin]);
                put(&mut bytes, *act);
            }
        }
        bytes
    }
}

fn put(bytes: &mut Vec<u8>, act: Act) {
    let (kind, numbers): (u64, &[u8]) = match act {
        Act::Derive { slot } => (0, &[slot]),
        Act::Shield { slot } => (1, &[slot]),
        Act::Churn { slot, times } => (2, &[slot, times]),
        Act::Clone { slot } => (3, &[slot]),
        Act::Drop { slot } => (4, &[slot]),
        Act::Cancel { handle } => (5, &[handle]),
        Act::CancelWith { handle } => (6, &[handle]),
        Act::Split { slot } => (7, &[slot]),
        Act::Look { slot } => (8, &[slot]),
        Act::Wait { slot } => (9, &[slot]),
        Act::Poll { wait, waker } => (10, &[wait, u8::from(waker)]),
        Act::DropWait { wait } => (11, &[wait]),
    };
    // How `arbitrary` chooses: by the upper half of a product.
    let choice = (kind << 32).div_ceil(ACTS) as u32;
    bytes.extend(choice.to_le_bytes());
    bytes.extend(numbers);
}
