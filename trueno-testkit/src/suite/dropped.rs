//! Futures that are given up half way.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Polls `future` up to `polls` times, then drops it: `None` unless it was done by then.
pub async fn dropped_after<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_future_is_polled_that_often_and_no_more() {
        let mut polled = 0;
        let never = poll_fn(|context| {
            polled += 1;
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!(dropped_after(3, never).await, None);
        assert_eq!(polled, 3);
        assert_eq!(dropped_after(1, async { 7 }).await, Some(7));
        assert_eq!(dropped_after(0, async { 7 }).await, None);
    }
}
