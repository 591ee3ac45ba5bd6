//! The store against a model, against a death at every store, and against hostile bytes.

mod check;
mod crash;
mod damage;
mod generated;
mod hostile;
mod limits;
mod memory;
mod model;
mod operation;
mod power;
mod soundness;
mod spans;
mod waiters;
mod world;

/// A small generator of numbers (splitmix64): the same seed gives the same test, on every machine.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
