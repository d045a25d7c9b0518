//! A spill file that was damaged.
