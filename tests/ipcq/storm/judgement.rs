//! The judgement: what the books say about what was promised.

use super::books::{Books, Get, Outcome};
use super::messages::{Key, Rest};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

/// How many of each kind of wrong there are, with the first few, and figures to show what was tried.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    pub(super) puts: usize,
    pub(super) intended: usize,
    /// Messages of puts that returned.
    pub(super) certain: usize,
    pub(super) gets: usize,
    /// Messages written in full by anyone.
    pub(super) deliveries: usize,
    /// Different messages that were delivered.
    pub(super) delivered: usize,
    /// Deliveries of a message again after a consumer was killed between its output and its commit.
    pub(super) explained_duplicates: usize,
    /// Messages of which a killed consumer wrote only the start.
    pub(super) cut_off: usize,
    /// Messages that came out of the order because they had come back.
    pub(super) came_back: usize,
    wrong: BTreeMap<&'static str, (usize, Vec<String>)>,
}

const LOST: &str = "lost";
const UNKNOWN: &str = "unknown";
const TORN: &str = "torn";
const DISORDERED: &str = "out of order";
const DUPLICATE: &str = "unexplained duplicates";
const HALF_DONE: &str = "puts half done";
const INCONSISTENT: &str = "ids or attempts that contradict others";
const FAILED: &str = "processes that failed";

/// All that can be wrong.
const WRONGS: [&str; 8] = [LOST, UNKNOWN, TORN, DISORDERED, DUPLICATE, HALF_DONE, INCONSISTENT, FAILED];

/// Where a message was delivered: the get, and the place in its output.
type Delivery = (usize, usize);

impl Judgement {
    pub(super) fn of(books: &Books) -> Self {
        let mut judgement = Judgement { puts: books.puts.len(), gets: books.gets.len(), ..Judgement::default() };
        let mut deliveries = HashMap::<Key, Vec<Delivery>>::new();
        for (index, get) in books.gets.iter().enumerate() {
            judgement.judge_output(get, &books.gets);
            for (place, received) in get.messages.iter().enumerate() {
                deliveries.entry(received.key).or_default().push((index, place));
            }
        }
        judgement.deliveries = deliveries.values().map(Vec::len).sum();
        judgement.delivered = deliveries.len();
        judgement.judge_puts(books, &deliveries);
        judgement.judge_duplicates(books, &mut deliveries);
        judgement.judge_ids(books, &deliveries);
        books.failures.iter().for_each(|failure| judgement.wrong(FAILED, || failure.clone()));
        judgement
    }

    fn wrong(&mut self, kind: &'static str, what: impl FnOnce() -> String) {
        let (count, examples) = self.wrong.entry(kind).or_default();
        *count += 1;
        if examples.len() < 5 {
            examples.push(what());
        }
    }

    /// Whether nothing is wrong.
    pub(super) fn is_clean(&self) -> bool {
        self.wrong.is_empty()
    }

    /// One consumer's output on its own: whole, and in order.
    ///
    /// Every take gives the first messages that are ready, in the order of their ids. So within one get ids grow,
    /// but for messages that came back in between because their consumer was killed: those have been handed
    /// out before, which their attempt says.
    fn judge_output(&mut self, get: &Get, gets: &[Get]) {
        match &get.rest {
            Rest::Nothing => {}
            Rest::Start(_) if get.killed => self.cut_off += 1,
            rest => self.wrong(TORN, || format!("{}: {rest:?}", get.command)),
        }
        let mut seen = HashSet::new();
        let mut newest = HashMap::new();
        let mut newest_id = HashMap::new();
        for received in &get.messages {
            let key = received.key;
            if !seen.insert(key) {
                self.wrong(DUPLICATE, || format!("{key:?} twice in one {}", get.command));
            }
            if !get.queues.contains(&key.queue) {
                self.wrong(UNKNOWN, || format!("{key:?} is of a queue that {} did not name", get.command));
            }
            let newest = newest.entry((key.queue, key.producer)).or_insert(key.number);
            let mut in_order = key.number >= *newest;
            *newest = key.number.max(*newest);
            if let Some((id, attempt)) = received.lease {
                let newest_id = newest_id.entry(key.queue).or_insert(id);
                let has_come_back = attempt > 1;
                if !has_come_back && (!in_order || id < *newest_id) {
                    self.wrong(DISORDERED, || format!("{key:?}, which never came back, in {}", get.command));
                }
                in_order &= id >= *newest_id;
                *newest_id = id.max(*newest_id);
            } else if !in_order && !gets.iter().any(|other| other.may_have_given_back(key.queue, get)) {
                self.wrong(DISORDERED, || format!("{key:?} in {}", get.command));
            }
            self.came_back += usize::from(!in_order);
        }
    }

    /// What producers know: what returned is there, and the rest is there in a way that it may be.
    fn judge_puts(&mut self, books: &Books, deliveries: &HashMap<Key, Vec<Delivery>>) {
        let mut intended = HashSet::new();
        for put in &books.puts {
            let there: Vec<bool> = put.keys().map(|key| deliveries.contains_key(&key)).collect();
            let count = there.iter().filter(|there| **there).count();
            let prefix = there.iter().take_while(|there| **there).count();
            self.intended += there.len();
            intended.extend(put.keys());
            match put.outcome {
                Outcome::Put(certain) => {
                    let certain = certain as usize;
                    self.certain += certain;
                    for (key, there) in put.keys().zip(&there).take(certain) {
                        if !there {
                            self.wrong(LOST, || format!("{key:?} of {put:?}"));
                        }
                    }
                    if there[certain..].contains(&true) {
                        self.wrong(HALF_DONE, || format!("{count} of {put:?}"));
                    }
                }
                Outcome::AllOrNone if count == 0 || count == there.len() => {}
                Outcome::Prefix if count == prefix => {}
                Outcome::AllOrNone | Outcome::Prefix => self.wrong(HALF_DONE, || format!("{count} of {put:?}")),
            }
        }
        for key in deliveries.keys().filter(|key| !intended.contains(key)) {
            self.wrong(UNKNOWN, || format!("{key:?}"));
        }
        for get in &books.gets {
            if let Rest::Start(Some(key)) = get.rest
                && !deliveries.contains_key(&key)
            {
                self.wrong(LOST, || format!("{key:?}, of which {} wrote the start before it was killed", get.command));
            }
        }
    }

    /// A message that was delivered again had been delivered by consumers that were killed before they let go of
    /// it: all but the last. A consumer lets go of each take before the next, so what comes again of
    /// its output is the end of it.
    fn judge_duplicates(&mut self, books: &Books, deliveries: &mut HashMap<Key, Vec<Delivery>>) {
        let mut came_again = HashMap::<usize, Vec<usize>>::new();
        for (key, of_key) in deliveries {
            of_key.sort_by_key(|(get, _)| books.gets[*get].ended);
            let Some((_, all_but_last)) = of_key.split_last() else { continue };
            for (get, place) in all_but_last {
                if books.gets[*get].killed {
                    self.explained_duplicates += 1;
                    came_again.entry(*get).or_default().push(*place);
                } else {
                    self.wrong(DUPLICATE, || format!("{key:?}, first by {}", books.gets[*get].command));
                }
            }
        }
        for (get, mut places) in came_again {
            places.sort_unstable();
            let get = &books.gets[get];
            if !places.iter().copied().eq(get.messages.len() - places.len()..get.messages.len()) {
                self.wrong(DUPLICATE, || format!("{places:?} of {} from {}", get.messages.len(), get.command));
            }
        }
    }

    /// A message keeps its id, ids follow the order of each producer, and each time it is handed out counts.
    fn judge_ids(&mut self, books: &Books, deliveries: &HashMap<Key, Vec<Delivery>>) {
        let mut ids = BTreeMap::<Key, u64>::new();
        for (key, of_key) in deliveries {
            let mut attempts = 0;
            for (get, place) in of_key {
                attempts += 1;
                let Some((id, attempt)) = books.gets[*get].messages[*place].lease else { continue };
                if *ids.entry(*key).or_insert(id) != id {
                    self.wrong(INCONSISTENT, || format!("{key:?} has several ids"));
                }
                if attempt < attempts {
                    self.wrong(INCONSISTENT, || format!("{key:?} says {attempt} at least the {attempts}th time"));
                }
                attempts = attempt;
            }
        }
        for (before, after) in ids.iter().zip(ids.iter().skip(1)) {
            let same_producer = (before.0.queue, before.0.producer) == (after.0.queue, after.0.producer);
            if same_producer && before.1 >= after.1 {
                self.wrong(INCONSISTENT, || format!("{before:?} and {after:?}"));
            }
        }
    }
}

impl Get {
    /// Whether a message of `queue` may have come back because of us while `other` ran.
    fn may_have_given_back(&self, queue: usize, other: &Get) -> bool {
        self.killed && self.queues.contains(&queue) && self.started <= other.ended && self.ended <= other.ended
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Judgement { puts, intended, certain, gets, deliveries, delivered, .. } = self;
        writeln!(f, "puts: {puts} with {intended} messages, {certain} of them certain")?;
        writeln!(f, "gets: {gets} with {deliveries} deliveries of {delivered} messages")?;
        writeln!(f, "explained duplicates: {}", self.explained_duplicates)?;
        writeln!(f, "cut off by a kill, and delivered again: {}", self.cut_off)?;
        writeln!(f, "out of order because they came back: {}", self.came_back)?;
        for kind in WRONGS {
            let (count, examples) = self.wrong.get(kind).cloned().unwrap_or_default();
            writeln!(f, "{kind}: {count}")?;
            examples.iter().try_for_each(|example| writeln!(f, "    {example}"))?;
        }
        Ok(())
    }
}
