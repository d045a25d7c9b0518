//! How much is read for requests whose turn has not come.

use super::*;

#[test]
fn what_is_read_ahead_has_a_bound() {
    let (traffic, lines) = (Rc::<Traffic>::default(), vec![b'\n'; MOST_AHEAD]);
    traffic.came(&lines[..MOST_AHEAD]);
    assert!(!traffic.is_ahead(), "nobody is before it");
    let answering = Rc::clone(&traffic).begin();
    traffic.came(&lines[..MOST_AHEAD]);
    assert!(!traffic.is_ahead(), "this can be the body of the request that is being answered");
    traffic.body_read();
    traffic.came(&lines[..MOST_AHEAD - 1]);
    assert!(!traffic.is_ahead());
    traffic.came(b"\n");
    assert!(traffic.is_ahead());
    // A stream is answered until its end.
    answering.streams();
    assert!(traffic.is_ahead());
    let next = Rc::clone(&traffic).begin();
    assert!(!traffic.is_ahead(), "its body may still have to come");
    traffic.body_read();
    assert!(traffic.is_ahead(), "the dispatcher may have all of it still");
    drop(next);
    assert!(!traffic.is_ahead());
    traffic.came(b"\n");
    let _next = Rc::clone(&traffic).begin();
    traffic.body_read();
    traffic.came(&lines[..MOST_AHEAD - 1]);
    assert!(!traffic.is_ahead(), "whoever has waited without an answer under way begins anew");
}
