//! Reading a body into memory, within its own bound, and within one for all that are being read: what many clients send
//! slowly must not take the memory of the rest.

use super::problem::{Problem, ProblemCode};
use actix_web::body::{BodyStream, MessageBody as _};
use actix_web::web;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So much of each body counts for nothing: an admission of the usual size is read however many large ones are.
const FREE: usize = 16 * 1024;

/// The memory that all bodies share.
#[derive(Debug)]
pub struct Bodies {
    most: usize,
    taken: AtomicUsize,
}

/// What one body has of it, given back when it is dropped.
#[derive(Debug)]
pub struct Room {
    bodies: Arc<Bodies>,
    taken: usize,
}

impl Bodies {
    /// So many bytes in all.
    pub const fn new(most: usize) -> Self {
        Self { most, taken: AtomicUsize::new(0) }
    }
}

impl Room {
    /// None yet.
    pub fn new(bodies: &Arc<Bodies>) -> Self {
        Self { bodies: Arc::clone(bodies), taken: 0 }
    }

    /// Room for a body that has come to so many bytes.
    fn grow(&mut self, length: usize) -> Result<(), Problem> {
        let more = length.saturating_sub(FREE).saturating_sub(self.taken);
        if more > 0 {
            let before = self.bodies.taken.fetch_add(more, Ordering::Relaxed);
            self.taken += more;
            if before + more > self.bodies.most {
                let detail = "the bodies that are being read take all of the memory that they may";
                return Err(Problem::new(ProblemCode::Busy, detail));
            }
        }
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.bodies.taken.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

/// Reads a body of at most `limit` bytes.
pub async fn collect(payload: web::Payload, limit: usize, room: &mut Room) -> Result<Vec<u8>, Problem> {
    let mut stream = pin!(BodyStream::new(payload));
    let mut bytes = Vec::new();
    while let Some(chunk) = poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
        let chunk = chunk.map_err(|_| Problem::new(ProblemCode::MalformedJson, "the body ends too early"))?;
        if bytes.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        room.grow(bytes.len() + chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// That a body is larger than it may be.
pub fn too_large(limit: usize) -> Problem {
    Problem::at(ProblemCode::PayloadTooLarge, "", format!("must be at most {limit} bytes long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_share_and_small_ones_are_free() {
        let bodies = Arc::new(Bodies::new(100_000));
        let (mut one, mut two, mut small) = (Room::new(&bodies), Room::new(&bodies), Room::new(&bodies));
        assert!(one.grow(FREE).is_ok() && one.grow(FREE + 40_000).is_ok() && one.grow(FREE + 60_000).is_ok());
        assert!(two.grow(FREE + 40_000).is_ok());
        assert_eq!(two.grow(FREE + 40_001).map_err(|problem| problem.code), Err(ProblemCode::Busy));
        assert!(small.grow(FREE).is_ok());
        drop(two);
        assert_eq!(bodies.taken.load(Ordering::Relaxed), 60_000);
        assert!(small.grow(FREE + 40_000).is_ok());
        drop((one, small));
        assert_eq!(bodies.taken.load(Ordering::Relaxed), 0);
    }
}
