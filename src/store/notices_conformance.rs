//! What every store must do: notices.
