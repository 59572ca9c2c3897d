//! Takes a running Linux box over.
