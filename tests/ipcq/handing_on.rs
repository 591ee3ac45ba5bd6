//! A message is finished with and another put into another queue in one step, whoever dies in between.

use crate::harness::{PRESENCE, Sandbox, is_on_redis, until};
use ipcq::address::Address;
use ipcq::lease::{End, Holder, LeaseId, Terms};
use ipcq::message::Run;
use ipcq::open;
use ipcq::place::{Access, Place, Surroundings};
use ipcq::queue::{self, Otherwise, Queue, Taken, Want};
use std::time::Instant;

fn open(sandbox: &Sandbox, name: &str) -> Box<dyn Queue> {
    let place = Place::from(&Surroundings {
        ipcq_dir: Some(sandbox.home()),
        access: Access { presence: is_on_redis().then(|| PRESENCE.into()), ..Access::default() },
        tmpdir: None,
        uid: 0,
        shared_memory: "/dev/shm".into(),
    });
    open::open(&place, &Address::parse(name.as_ref()).unwrap()).unwrap()
}

/// Takes the next message of a queue and keeps it.
fn lease(queue: &mut dyn Queue) -> LeaseId {
    let want = Want { messages: 1, bytes: u64::MAX, singly: true };
    // What we have dropped may live on for a moment in children that other tests are just starting.
    until("there is a message", || {
        queue.take(want, Otherwise::Leave, Some(Instant::now())).unwrap() == Taken::Messages
    });
    let frame = queue.frames()[0];
    queue.keep(1, Terms { until: None, holder: Holder::This }, true, None).unwrap();
    LeaseId { message: frame.first_id, attempt: frame.handed_out }
}

/// The ends of a worker that has taken the message of `from` and prepared `output` in `to`.
fn prepared(sandbox: &Sandbox) -> (Box<dyn Queue>, Box<dyn Queue>, LeaseId) {
    let (mut from, mut to) = (open(sandbox, "from"), open(sandbox, "to"));
    let lease = lease(from.as_mut());
    to.prepare(&Run::whole(b"output"), &from.source(lease).unwrap(), None).unwrap();
    (from, to, lease)
}

/// Queues `from`, with a message, and `to`, which is empty.
fn two_queues() -> Sandbox {
    let sandbox = Sandbox::with_queues("from to");
    sandbox.ok("put from input");
    sandbox
}

#[test]
fn the_old_message_is_gone_and_the_new_one_there() {
    let sandbox = two_queues();
    let (mut from, mut to) = (open(&sandbox, "from"), open(&sandbox, "to"));
    let lease = lease(from.as_mut());
    assert!(queue::hand_on(from.as_mut(), lease, to.as_mut(), &Run::whole(b"output"), None).unwrap());
    assert_eq!(sandbox.ok("get to -t 0"), "output");
    assert_eq!(sandbox.run("get from -t 0").code, 1);
    ["from", "to"].iter().for_each(|queue| sandbox.is_sound(queue));
}

#[test]
fn what_is_prepared_is_not_to_be_seen_and_keeps_a_closed_queue_from_being_drained() {
    let sandbox = two_queues();
    let (mut from, mut to) = (open(&sandbox, "from"), open(&sandbox, "to"));
    let lease = lease(from.as_mut());
    let prepared = to.prepare(&Run::whole(b"output"), &from.source(lease).unwrap(), None).unwrap().unwrap();
    sandbox.ok("close to");
    let follower = sandbox.asleep("get to -f");
    assert_eq!(sandbox.run("get to -t 0").code, 1, "it is neither there nor the end");
    sandbox.is_sound("to");
    from.end(&[lease], &End::HandedOn, None).unwrap();
    to.resolve(prepared, true, None).unwrap();
    follower.ends(0, "output");
    sandbox.is_sound("to");
}

#[test]
fn who_dies_before_the_old_message_is_finished_with_has_put_nothing() {
    let sandbox = two_queues();
    let (from, to, _) = prepared(&sandbox);
    drop((from, to));
    assert_eq!(sandbox.run("get to -t 0.3").code, 1);
    until("it is dropped", || sandbox.stat("to", "leased") == 0 || sandbox.run("get to -t 0").code != 1);
    assert_eq!(sandbox.ok("get from -t 5"), "input\n");
    sandbox.still_works("to");
}

#[test]
fn who_dies_after_the_old_message_is_finished_with_has_put_the_new_one() {
    let sandbox = two_queues();
    let (mut from, to, lease) = prepared(&sandbox);
    from.end(&[lease], &End::HandedOn, None).unwrap();
    drop((from, to));
    assert_eq!(sandbox.ok("get to -t 5"), "output");
    assert_eq!(sandbox.run("get from -t 0").code, 1);
    sandbox.still_works("to");
}

#[test]
fn where_the_old_queue_is_gone_the_new_message_is_there() {
    let sandbox = two_queues();
    let (from, to, _) = prepared(&sandbox);
    drop((from, to));
    sandbox.ok("rm from");
    sandbox.ok("create from");
    assert_eq!(sandbox.ok("get to -t 5"), "output");
}

#[test]
fn a_second_worker_does_not_publish_what_the_first_one_left() {
    let sandbox = two_queues();
    let (mut from, mut to) = (open(&sandbox, "from"), open(&sandbox, "to"));
    let first = lease(from.as_mut());
    to.prepare(&Run::whole(b"of the first"), &from.source(first).unwrap(), None).unwrap();
    drop((from, to));
    let (mut from, mut to) = (open(&sandbox, "from"), open(&sandbox, "to"));
    let second = lease(from.as_mut());
    assert_eq!(second, LeaseId { attempt: 2, ..first });
    assert!(queue::hand_on(from.as_mut(), second, to.as_mut(), &Run::whole(b"of the second"), None).unwrap());
    assert_eq!(sandbox.ok("get to -a"), "of the second");
}

#[test]
fn what_was_prepared_is_dropped_when_somebody_else_has_finished_with_the_message() {
    let sandbox = two_queues();
    let (from, to, _) = prepared(&sandbox);
    drop((from, to));
    // Nobody has looked into the other queue yet.
    assert_eq!(sandbox.ok("get from -t 5"), "input\n");
    until("it is dropped", || sandbox.run("get to -t 0").code == 1 && sandbox.stat("to", "leased") == 0);
    assert_eq!(sandbox.stat("to", "bytes"), 0);
    sandbox.still_works("to");
}

#[test]
fn nothing_stays_behind_of_what_was_handed_on() {
    let sandbox = two_queues();
    let (mut from, to, lease) = prepared(&sandbox);
    from.end(&[lease], &End::HandedOn, None).unwrap();
    drop((from, to));
    assert_eq!(sandbox.ok("get to -t 5"), "output");
    // An empty queue has no records at all, or verify complains.
    if is_on_redis() {
        until("it is forgotten", || sandbox.ask_server("exists {ipcq:from}:handed") == "0\n");
        return;
    }
    let segment = std::fs::read(sandbox.queues().join("from")).unwrap();
    let root = ipcq::local::CONTROL_FIELDS.iter().find(|field| field.name == "handed-on root").unwrap();
    assert_eq!(segment[root.offset as usize..][..8], [0; 8]);
    sandbox.is_sound("from");
}

#[test]
fn a_lease_that_is_over_puts_nothing() {
    let sandbox = two_queues();
    let (mut from, mut to) = (open(&sandbox, "from"), open(&sandbox, "to"));
    let lease = lease(from.as_mut());
    from.end(&[lease], &End::Done, None).unwrap();
    let error = queue::hand_on(from.as_mut(), lease, to.as_mut(), &Run::whole(b"output"), None).unwrap_err();
    assert!(error.to_string().contains("not leased"), "{error}");
    assert_eq!(sandbox.run("get to -t 0").code, 1);
    assert_eq!(sandbox.stat("to", "bytes"), 0);
}

#[test]
fn a_full_queue_takes_what_is_handed_on_when_there_is_room() {
    let sandbox = two_queues();
    sandbox.ok("create full --max-items 1");
    sandbox.ok("put full first");
    let (mut from, mut to) = (open(&sandbox, "from"), open(&sandbox, "full"));
    let lease = lease(from.as_mut());
    let output = Run::whole(b"output");
    assert!(!queue::hand_on(from.as_mut(), lease, to.as_mut(), &output, Some(Instant::now())).unwrap());
    assert_eq!(sandbox.stat("from", "leased"), 1);
    std::thread::scope(|scope| {
        let consumer = scope.spawn(|| sandbox.ok("get full"));
        assert!(queue::hand_on(from.as_mut(), lease, to.as_mut(), &output, None).unwrap());
        assert_eq!(consumer.join().unwrap(), "first\n");
    });
    assert_eq!(sandbox.ok("get full"), "output");
}
