//! Death at every store
