//! The memory of request bodies: it grows as bytes arrive, never by what a header promises, and above a small size it
//! is taken from a budget that all connections of a door share.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::refusal::Refusal;

/// Up to this many bytes a body is free of the budget: with one request per connection, their sum is bounded anyway,
/// and senders of large bodies cannot keep out the small ones (every call of KooGallery is small).
const FREE_BYTES: usize = 64 << 10;

/// The first step of growth, in bytes; after it the memory doubles.
const FIRST_STEP: usize = 16 << 10;

/// Bytes that large bodies may still take.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    fn take(&self, bytes: usize) -> Result<(), Refusal> {
        let taken = self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes));
        taken.map(|_| ()).map_err(|_| Refusal::BodyMemory)
    }
}

/// A body on its way in.
#[derive(Debug)]
pub(super) struct Body<'a> {
    /// Initialised up to its end, received up to `received`.
    bytes: Vec<u8>,
    received: usize,
    length: usize,
    share: Share<'a>,
}

impl<'a> Body<'a> {
    /// A body of `length` bytes, of which the first ones may be here already.
    pub(super) fn begin(length: usize, here: &[u8], budget: &'a Budget) -> Result<Self, Refusal> {
        let mut share = Share { budget, taken: 0 };
        share.cover(here.len())?;
        Ok(Self { bytes: here.to_vec(), received: here.len(), length, share })
    }

    pub(super) fn is_whole(&self) -> bool {
        self.received >= self.length
    }

    /// Where the next bytes go; never more than what is missing, so that nothing of a next request is taken.
    pub(super) fn space(&mut self) -> Result<&mut [u8], Refusal> {
        if self.received == self.bytes.len() && !self.is_whole() {
            let step = self.received.max(FIRST_STEP).min(self.length - self.received);
            self.share.cover(self.received + step)?;
            self.bytes.reserve_exact(step);
            self.bytes.resize(self.received + step, 0);
        }
        Ok(&mut self.bytes[self.received..])
    }

    /// `count` bytes of [`space`](Self::space) have been filled.
    pub(super) fn advance(&mut self, count: usize) {
        self.received += count;
    }

    /// The bytes, and the share of the budget they occupy: to be kept until they have been dealt with.
    pub(super) fn finish(mut self) -> (Vec<u8>, Share<'a>) {
        self.bytes.truncate(self.received);
        (self.bytes, self.share)
    }
}

/// What one body has taken from the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Share<'a> {
    budget: &'a Budget,
    taken: usize,
}

impl Share<'_> {
    fn cover(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes > FREE_BYTES && bytes > self.taken {
            self.budget.take(bytes - self.taken)?;
            self.taken = bytes;
        }
        Ok(())
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.taken, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(budget: &Budget) -> usize {
        budget.0.load(Relaxed)
    }

    #[test]
    fn memory_follows_the_bytes_received_not_the_length_announced() {
        let budget = Budget::new(64 << 20);
        let mut body = Body::begin(10 << 20, b"", &budget).unwrap();
        assert_eq!(body.space().unwrap().len(), FIRST_STEP);
        body.advance(100);
        assert_eq!(body.space().unwrap().len(), FIRST_STEP - 100);
        assert_eq!(left(&budget), 64 << 20);
    }

    #[test]
    fn the_space_offered_ends_where_the_body_ends() {
        let budget = Budget::new(0);
        let mut body = Body::begin(10, b"1234", &budget).unwrap();
        let space = body.space().unwrap();
        assert_eq!(space.len(), 6);
        space.copy_from_slice(b"567890");
        body.advance(6);
        assert!(body.is_whole());
        assert_eq!(body.finish().0, b"1234567890");
    }

    #[test]
    fn a_large_body_takes_from_the_budget_and_gives_it_back() {
        let length = 300_000;
        let budget = Budget::new(length);
        let mut body = Body::begin(length, b"", &budget).unwrap();
        while !body.is_whole() {
            let count = body.space().unwrap().len();
            body.advance(count);
        }
        assert_eq!(left(&budget), 0);
        let mut other = Body::begin(length, b"", &budget).unwrap();
        let refusal = loop {
            match other.space().map(|space| space.len()) {
                Ok(count) => other.advance(count),
                Err(refusal) => break refusal,
            }
        };
        assert_eq!(refusal, Refusal::BodyMemory);
        assert!(other.received <= FREE_BYTES);
        let (bytes, share) = body.finish();
        assert_eq!((bytes.len(), bytes.capacity()), (length, length));
        drop(share);
        assert_eq!(left(&budget), length);
    }
}
