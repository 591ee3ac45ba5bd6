//! A storm on a server: producers and consumers are killed, and so is the server, again and again; what returned is
//! delivered, and only what a consumer had that was killed is delivered twice.
//!
//! In the suite, a server that saves each change is killed, and one that saves once a second may end in good order.
//! `IPCQ_STORM=10 cargo test --test ipcq redis_storm -- --nocapture` is ten storms of every kind. That a server is
//! killed which saves once a second, too: it hands each change to the system before it answers, where a process that is
//! killed loses nothing, and a machine may.

use crate::harness::{Random, Running, Sandbox, until};
use crate::server::Server;
use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

const PRODUCERS: u32 = 4;
const CONSUMERS: u32 = 4;
const RESTARTS: u32 = 5;
/// Lines of one stream.
const LINES: u32 = 200;

/// How servers save, and what ends them; the first two are those of the suite.
const KINDS: [(&str, Ending); 4] = [
    ("always", Ending::Kill),
    ("everysec", Ending::Terminate),
    ("always", Ending::Terminate),
    ("everysec", Ending::Kill),
];

#[derive(Clone, Copy, Debug)]
enum Ending {
    Kill,
    Terminate,
}

/// What is known of a message.
#[derive(Default)]
struct Account {
    /// A put that has returned has put it.
    is_sure: bool,
    /// Deliveries by consumers that ended in good order, and by others.
    delivered: u32,
    delivered_by_the_killed: u32,
}

type Books = Mutex<HashMap<String, Account>>;

#[test]
fn what_returned_is_delivered_whoever_is_killed() {
    let storms: Option<u64> = std::env::var("IPCQ_STORM").ok().and_then(|storms| storms.parse().ok());
    let kinds = if storms.is_some() { &KINDS[..] } else { &KINDS[..2] };
    for seed in 0..storms.unwrap_or(1) {
        for (saves, ending) in kinds {
            let Some(server) = Server::start(&format!("--appendonly yes --appendfsync {saves}")) else { return };
            print!("storm {seed}, appendfsync {saves}, {ending:?}: ");
            storm(server, *ending, seed);
        }
    }
}

fn storm(mut server: Server, ending: Ending, seed: u64) {
    let mut sandbox = Sandbox::with_database(server.url(0));
    sandbox.presence("5s");
    sandbox.ok("create jobs --max-items 2000");
    let (books, is_over, deaths) = (Books::default(), AtomicBool::new(false), AtomicU32::new(0));
    let (sandbox, books, is_over, deaths) = (&sandbox, &books, &is_over, &deaths);
    std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..CONSUMERS)
            .map(|number| scope.spawn(move || consume(sandbox, books, is_over, deaths, seed * 100 + u64::from(number))))
            .collect();
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|number| scope.spawn(move || produce(sandbox, books, is_over, deaths, number, seed)))
            .collect();
        let mut random = Random::new(seed + 1);
        for _ in 0..RESTARTS {
            std::thread::sleep(Duration::from_millis(400 + random.below(400)));
            match ending {
                Ending::Kill => server.kill(),
                Ending::Terminate => server.stop(),
            }
            std::thread::sleep(Duration::from_millis(random.below(300)));
            server.start_again();
        }
        is_over.store(true, Ordering::SeqCst);
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        // It may take a moment until the dead are known to be.
        until("everything has been got", || {
            let figure = |key| sandbox.stat("jobs", key).as_u64().unwrap();
            figure("ready") + figure("leased") + figure("delayed") == 0
        });
        sandbox.ok("close jobs");
        consumers.into_iter().for_each(|consumer| consumer.join().unwrap());
    });
    sandbox.is_sound("jobs");
    let books = books.lock().unwrap();
    let (mut twice, mut sure) = (0, 0);
    for (message, account) in books.iter() {
        let Account { is_sure, delivered, delivered_by_the_killed } = *account;
        assert!(!is_sure || delivered + delivered_by_the_killed > 0, "{message} was lost");
        assert!(delivered <= 1, "{message} was delivered {delivered} times, and nobody who had it was killed");
        twice += u32::from(delivered + delivered_by_the_killed > 1);
        sure += u32::from(is_sure);
    }
    let deaths = deaths.load(Ordering::SeqCst);
    println!("{sure} messages for sure, {deaths} processes and {RESTARTS} servers ended, {twice} delivered twice");
    assert!(sure > 500 && deaths > 5, "{sure} {deaths}");
}

/// Puts lines until it is over, by one command after the other, some of which are killed.
fn produce(sandbox: &Sandbox, books: &Books, is_over: &AtomicBool, deaths: &AtomicU32, number: u32, seed: u64) {
    let mut random = Random::new(seed * 1000 + u64::from(number));
    let mut round = 0;
    while !is_over.load(Ordering::SeqCst) {
        round += 1;
        let many = random.below(2) == 0;
        let lines: Vec<String> =
            (0..if many { LINES } else { 1 }).map(|line| format!("{number}.{round}.{line}")).collect();
        let file = format!("in.{number}");
        std::fs::write(sandbox.path(&file), lines.join("\n") + "\n").unwrap();
        let mut command =
            if many { sandbox.ipcq(["put", "jobs", "-l"]) } else { sandbox.ipcq(["put", "jobs", &lines[0]]) };
        let input = std::fs::File::open(sandbox.path(&file)).unwrap();
        let running = Running::from(command.stdin(input).spawn().unwrap());
        if random.below(8) == 0 {
            std::thread::sleep(Duration::from_micros(random.below(20_000)));
            running.signal("KILL");
            deaths.fetch_add(1, Ordering::SeqCst);
        }
        let is_sure = running.end().code == 0;
        let mut books = books.lock().unwrap();
        lines.into_iter().for_each(|line| books.entry(line).or_default().is_sure |= is_sure);
    }
}

/// Gets lines until the queue is closed and drained, by one command after the other, some of which are killed.
fn consume(sandbox: &Sandbox, books: &Books, is_over: &AtomicBool, deaths: &AtomicU32, seed: u64) {
    let mut random = Random::new(seed);
    let mut round = 0;
    loop {
        round += 1;
        let file = format!("out.{seed}.{round}");
        let command = if random.below(2) == 0 { "get jobs -f" } else { "get jobs -n 300" };
        let mut command = sandbox.ipcq(command.split(' '));
        let running = Running::from(command.args(["-o", &file]).stdout(Stdio::null()).spawn().unwrap());
        if !is_over.load(Ordering::SeqCst) && random.below(2) == 0 {
            std::thread::sleep(Duration::from_millis(random.below(400)));
            running.signal("KILL");
            deaths.fetch_add(1, Ordering::SeqCst);
        }
        let done = running.end();
        let text = std::fs::read_to_string(sandbox.path(&file)).unwrap_or_default();
        let mut books = books.lock().unwrap();
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let account = books.entry(line.to_owned()).or_default();
            match done.code {
                0 | 3 => account.delivered += 1,
                _ => account.delivered_by_the_killed += 1,
            }
        }
        drop(books);
        // 3: nothing came before the end.
        if is_over.load(Ordering::SeqCst) && matches!(done.code, 0 | 3) && sandbox.stat("jobs", "closed") == true {
            return;
        }
    }
}
