//! A message that is put is got: the shortest way through every command.

use crate::harness::Sandbox;

#[test]
fn what_is_put_is_got_in_order() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    sandbox.ok("put jobs one two");
    sandbox.ok("put jobs three");
    assert_eq!(sandbox.ok("get jobs"), "one\n");
    assert_eq!(sandbox.ok("get jobs -n 2"), "two\nthree\n");
    assert_eq!(sandbox.run("get jobs -t 0").code, 1);
}

#[test]
fn a_waiting_get_is_woken_by_a_put() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    let get = sandbox.start("get jobs");
    get.until_asleep();
    sandbox.ok("put jobs hello");
    assert_eq!(get.end().text(), "hello\n");
}
