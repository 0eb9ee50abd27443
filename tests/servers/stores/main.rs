//! Crowds on the stores that need no server.
//!
//! The same crowds on PostgreSQL and Redis are in the binaries of those environments.

mod bookings;
