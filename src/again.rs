//! Going on in a moment.

use std::future::poll_fn;
use std::task::Poll;

/// Completes when it is asked for the second time, which is when the run queue comes round: all that waits there has its turn
/// before. Unlike with tokio's own `yield_now` the task waits where another thread can take it from: what blocks this thread
/// would else keep it, and all that it holds, for as long.
pub(crate) async fn ask_again() {
    let mut asked = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
