//! What a store answers: at once, as one in memory does, or later.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

/// A future that may be ready from the beginning, and then costs no allocation.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Answer<'a, T>(Inner<'a, T>);

enum Inner<'a, T> {
    /// `None` once it was taken.
    Now(Option<T>),
    Later(BoxFuture<'a, T>),
}

// Nothing in it is ever pinned in place: the value is moved out, and a boxed future is pinned on the heap.
impl<T> Unpin for Answer<'_, T> {}

impl<'a, T> Answer<'a, T> {
    /// An answer that is there already.
    pub const fn now(value: T) -> Self {
        Self(Inner::Now(Some(value)))
    }

    /// An answer that takes its time.
    pub fn later(future: impl Future<Output = T> + Send + 'a) -> Self {
        Self(Inner::Later(Box::pin(future)))
    }
}

impl<T> Future for Answer<'_, T> {
    type Output = T;

    /// # Panics
    ///
    /// When it is polled again after it was ready, as every future may.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.get_mut().0 {
            Inner::Now(value) => Poll::Ready(value.take().expect("polled again after it was ready")),
            Inner::Later(future) => future.as_mut().poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_come_now_or_later() {
        assert_eq!(Answer::now(1).await, 1);
        let later = Answer::later(async {
            tokio::task::yield_now().await;
            2
        });
        assert_eq!(later.await, 2);
    }
}
