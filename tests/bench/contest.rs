//! Runs of ipcq and of what a user would pick instead, in turn, and how they compare.

/// Something that is measured: does its task once and returns what that cost, such as seconds a message.
pub(crate) type Contender<'a, Cost = f64> = Box<dyn FnMut() -> Cost + 'a>;

/// The costs of every contender, one for each round. In a round each has its turn, so that whatever else the
/// machine does meets all of them; every other round goes backwards, for who comes after whom makes a difference, too.
pub(crate) fn in_turn<Cost>(rounds: usize, contenders: &mut [Contender<'_, Cost>]) -> Vec<Vec<Cost>> {
    let mut costs: Vec<_> = contenders.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds {
        let mut turns: Vec<_> = contenders.iter_mut().zip(&mut costs).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        turns.into_iter().for_each(|(contender, costs)| costs.push(contender()));
    }
    costs
}

/// What ipcq costs, and what another costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared {
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    /// The median of the rounds' ratios, which differs from the ratio of the medians when the machine was busy in some.
    pub(crate) ratio: f64,
}

impl Compared {
    /// Medians over rounds that were run in turn.
    pub(crate) fn of(ours: &[f64], theirs: &[f64]) -> Self {
        let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs);
        Compared { ours: median(ours.to_vec()), theirs: median(theirs.to_vec()), ratio: median(ratios.collect()) }
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
