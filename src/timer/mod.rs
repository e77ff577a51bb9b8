//! Timers: which contexts are done by which time.

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "nothing is armed by a deadline yet")
)]
mod wheel;
