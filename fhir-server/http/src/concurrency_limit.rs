//! Admission control: how many requests run at once. Some more wait for a moment; the rest get 503 with `Retry-After`, because a
//! queue without an end answers nobody in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fhir_model::{Error, Kind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The semaphore that every interaction passes.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    permits: Arc<Semaphore>,
    permits_max: usize,
    waiting: AtomicUsize,
    waiting_max: usize,
    wait_max: Duration,
}

impl ConcurrencyLimit {
    /// Admits `permits_max` requests at once; `waiting_max` more may wait for `wait_max`.
    pub fn new(permits_max: usize, waiting_max: usize, wait_max: Duration) -> ConcurrencyLimit {
        let permits_max = permits_max.clamp(1, u32::MAX as usize >> 4);
        ConcurrencyLimit {
            permits: Arc::new(Semaphore::new(permits_max)),
            permits_max,
            waiting: AtomicUsize::new(0),
            waiting_max,
            wait_max,
        }
    }

    /// A permit, returned when dropped.
    ///
    /// # Errors
    /// 503 when all permits are taken and the queue is full, or when none became free within `wait_max`.
    pub async fn acquire(&self) -> Result<OwnedSemaphorePermit> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::new(&self.waiting, self.waiting_max).ok_or_else(busy)?;
        match tokio::time::timeout(self.wait_max, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(busy()),
        }
    }

    /// Returns when no request holds a permit; meant for shutdown, when no more are admitted.
    pub async fn drained(&self) {
        let _ = self.permits.acquire_many(self.permits_max as u32).await;
    }

    /// (requests running, requests waiting), for metrics.
    pub fn usage(&self) -> (usize, usize) {
        let inside = self.permits_max.saturating_sub(self.permits.available_permits());
        (inside, self.waiting.load(Ordering::Relaxed))
    }
}

fn busy() -> Error {
    Error::new(Kind::Unavailable, "the server is working on as much as it can; try again in a moment")
}

/// A waiting request; counted until dropped, also when the client goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize, max: usize) -> Option<Waiting<'a>> {
        let waiting = Waiting(count);
        (count.fetch_add(1, Ordering::Relaxed) < max).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_inside_one_waiting_the_third_is_sent_away() {
        let limit = Arc::new(ConcurrencyLimit::new(1, 1, Duration::from_secs(60)));
        let inside = limit.acquire().await.unwrap();
        let second = tokio::spawn({
            let limit = limit.clone();
            async move { limit.acquire().await.map(drop) }
        });
        while limit.usage() != (1, 1) {
            tokio::task::yield_now().await;
        }
        assert_eq!(limit.acquire().await.unwrap_err().kind.status(), 503);
        assert_eq!(limit.usage(), (1, 1), "who is sent away is not counted");
        drop(inside);
        second.await.unwrap().unwrap();
        assert_eq!(limit.usage(), (0, 0));
        limit.drained().await;
    }

    #[tokio::test]
    async fn waiting_ends() {
        let limit = ConcurrencyLimit::new(1, 5, Duration::from_millis(1));
        let _inside = limit.acquire().await.unwrap();
        assert_eq!(limit.acquire().await.unwrap_err().kind, Kind::Unavailable);
        assert_eq!(limit.usage(), (1, 0));
    }
}
