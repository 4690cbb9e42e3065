//! The body budget: how many bytes of request bodies are in memory at once. A request beyond it waits for a moment, then is
//! answered 503.
//!
//! Large and small bodies have budgets of their own: a few uploads that last minutes must not keep everybody else from
//! writing.

use std::sync::Arc;
use std::time::Duration;

use fhir_model::{Error, Kind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::HEAVY_BYTES;

/// Bytes are counted by this many: semaphores count to 2^32 at once.
const UNIT: usize = 1024;

/// The budget for the bodies of all requests.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    light: Pool,
    heavy: Pool,
    wait_max: Duration,
}

#[derive(Debug)]
struct Pool {
    free: Arc<Semaphore>,
    units: usize,
}

impl Pool {
    fn new(bytes: usize) -> Pool {
        let units = bytes.div_ceil(UNIT).clamp(1, u32::MAX as usize);
        Pool { free: Arc::new(Semaphore::new(units)), units }
    }
}

impl BodyBudget {
    /// A budget of `bytes_max` bytes; a request beyond it waits for at most `wait_max`.
    pub(crate) fn new(bytes_max: usize, wait_max: Duration) -> BodyBudget {
        let light = bytes_max / 4;
        BodyBudget { light: Pool::new(light), heavy: Pool::new(bytes_max - light), wait_max }
    }

    /// The permit of one body, of no bytes yet. Each of its bytes counts `weight` times.
    pub(crate) fn reserve(self: &Arc<BodyBudget>, weight: usize) -> BodyPermit {
        BodyPermit { budget: self.clone(), weight, is_heavy: false, units: 0, permit: None }
    }
}

/// The part of the budget that one body holds, given back when dropped.
#[derive(Debug)]
pub(crate) struct BodyPermit {
    budget: Arc<BodyBudget>,
    weight: usize,
    is_heavy: bool,
    units: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl BodyPermit {
    /// Grows the permit to `bytes` in all, waiting for others to give theirs back.
    pub(crate) async fn grow_to(&mut self, bytes: usize) -> Result<()> {
        let bytes = bytes.saturating_mul(self.weight);
        let becomes_heavy = bytes > HEAVY_BYTES && !self.is_heavy;
        let is_heavy = becomes_heavy || self.is_heavy;
        let pool = if is_heavy { &self.budget.heavy } else { &self.budget.light };
        // The largest allowed body fits when it is alone.
        let units = bytes.div_ceil(UNIT).min(pool.units);
        let had = if becomes_heavy { 0 } else { self.units };
        if units <= had {
            return Ok(());
        }
        let wanted = u32::try_from(units - had).map_err(Error::internal)?;
        let more = pool.free.clone().acquire_many_owned(wanted);
        let Ok(Ok(more)) = tokio::time::timeout(self.budget.wait_max, more).await else {
            let text = "too many large bodies are arriving; try again in a moment";
            return Err(Error::new(Kind::Unavailable, text));
        };
        match self.permit.as_mut().filter(|_| !becomes_heavy) {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        (self.units, self.is_heavy) = (units, is_heavy);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three heavy bodies of 512 KiB and two light ones of 256 KiB.
    const BYTES_MAX: usize = 4 * 512 * 1024;

    async fn held(budget: &Arc<BodyBudget>, bytes: usize) -> Result<BodyPermit> {
        let mut held = budget.reserve(1);
        held.grow_to(bytes).await.map(|()| held)
    }

    #[tokio::test]
    async fn room_is_shared_and_given_back() {
        let budget = Arc::new(BodyBudget::new(BYTES_MAX, Duration::from_millis(1)));
        let full = [held(&budget, 512 * 1024).await.unwrap(), held(&budget, 1024 * 1024).await.unwrap()];
        let refused = held(&budget, HEAVY_BYTES + 1).await.unwrap_err();
        assert_eq!((refused.kind, refused.kind.status()), (Kind::Unavailable, 503));
        let light = [held(&budget, HEAVY_BYTES).await.unwrap(), held(&budget, HEAVY_BYTES).await.unwrap()];
        assert!(held(&budget, 1).await.is_err());
        drop((full, light));
        assert!(held(&budget, 3 * 512 * 1024).await.is_ok());
        assert!(held(&budget, 1).await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_gets_what_others_give_back() {
        let budget = Arc::new(BodyBudget::new(BYTES_MAX, Duration::from_secs(60)));
        let first = held(&budget, 1024 * 1024).await.unwrap();
        let second = held(&budget, 1024 * 1024);
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn a_body_that_grows_changes_its_shelf() {
        let budget = Arc::new(BodyBudget::new(BYTES_MAX, Duration::from_millis(1)));
        let mut growing = held(&budget, HEAVY_BYTES).await.unwrap();
        let _light = held(&budget, HEAVY_BYTES).await.unwrap();
        assert!(held(&budget, 1).await.is_err());
        growing.grow_to(HEAVY_BYTES + 1).await.unwrap();
        assert!(held(&budget, HEAVY_BYTES).await.is_ok(), "what it had among the light ones is given back");
        growing.grow_to(3 * 512 * 1024).await.unwrap();
        assert!(held(&budget, HEAVY_BYTES + 1).await.is_err());
        growing.grow_to(10).await.unwrap();
        // Alone, every body fits: how long one may be is another limit.
        growing.grow_to(usize::MAX).await.unwrap();
    }

    #[tokio::test]
    async fn some_bytes_weigh_more_than_others() {
        let budget = Arc::new(BodyBudget::new(BYTES_MAX, Duration::from_millis(1)));
        let mut xml = budget.reserve(4);
        xml.grow_to(3 * 512 * 1024 / 4).await.unwrap();
        assert!(held(&budget, HEAVY_BYTES + 1).await.is_err());
    }
}
