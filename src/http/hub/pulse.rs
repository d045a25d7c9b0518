//! When a connection is to be asked whether it lives, and when it is given up. It knows no clock: it is told the time.

use std::time::Duration;

/// How long a negotiated connection waits to be opened, and an opened one for its handshake.
const BEGINNING: Duration = Duration::from_secs(15);

/// How long nothing is sent before a ping is.
const QUIET: Duration = Duration::from_secs(15);

/// How long a client may say nothing. By SignalR's defaults it says something every 15 seconds.
const SILENT: Duration = Duration::from_secs(30);

/// How long a client may take nothing of what waits for it. One that polls has [`SILENT`].
const STUCK: Duration = Duration::from_secs(10);

/// How a connection stands, apart from what its session knows itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signs {
    /// When it was opened; `None` while it is not.
    pub(super) opened: Option<Duration>,
    /// When the client last said something; `None` while its poll waits here.
    pub(super) heard: Option<Duration>,
    /// Whether it is one that needs no pings and may leave for a moment: long polling.
    pub(super) comes_and_goes: bool,
    /// How long what waits for it has waited.
    pub(super) stuck: Option<Duration>,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// Nothing for so long, whatever happens.
    Nothing(Duration),
    /// Send a ping.
    Ping,
    /// It was not opened, or there was no handshake.
    NotBegun,
    /// Nothing was heard of the client.
    Silent,
    /// The client takes nothing.
    Stuck,
}

/// The times of one session.
#[derive(Debug)]
pub(super) struct Pulse {
    made: Duration,
    shaken: bool,
    sent: Duration,
}

impl Pulse {
    pub(super) fn new(now: Duration) -> Self {
        Self { made: now, shaken: false, sent: now }
    }

    /// The handshake is done.
    pub(super) fn shaken(&mut self) {
        self.shaken = true;
    }

    /// Something was sent.
    pub(super) fn sent(&mut self, now: Duration) {
        self.sent = now;
    }

    pub(super) fn due(&self, signs: &Signs, now: Duration) -> Due {
        let mut next = Duration::MAX;
        let mut over = |since: Duration, patience: Duration| {
            let left = (since + patience).saturating_sub(now);
            next = next.min(left);
            left.is_zero()
        };
        if !self.shaken && over(signs.opened.unwrap_or(self.made), BEGINNING) {
            return Due::NotBegun;
        }
        if let (true, Some(heard)) = (self.shaken, signs.heard)
            && over(heard, SILENT)
        {
            return Due::Silent;
        }
        // Between two polls nothing can be taken, and a client may be away for as long as it may be silent.
        let patience = if signs.comes_and_goes { SILENT } else { STUCK };
        if let (true, Some(stuck)) = (signs.opened.is_some(), signs.stuck)
            && over(now.saturating_sub(stuck), patience)
        {
            return Due::Stuck;
        }
        if self.shaken && !signs.comes_and_goes && over(self.sent, QUIET) {
            return Due::Ping;
        }
        // What is heard or stuck changes without a word to the session: not later than this it looks again.
        Due::Nothing(next.min(STUCK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);
    const AT: Duration = Duration::from_secs(100);

    fn just_before(time: Duration) -> Duration {
        time.saturating_sub(MILLI)
    }

    fn open(heard: Option<Duration>) -> Signs {
        Signs { opened: Some(AT), heard, comes_and_goes: false, stuck: None }
    }

    fn shaken() -> Pulse {
        let mut pulse = Pulse::new(AT);
        pulse.shaken();
        pulse
    }

    #[test]
    fn what_does_not_begin_is_given_up_after_fifteen_seconds() {
        let pulse = Pulse::new(AT);
        let closed = Signs { opened: None, ..open(Some(AT)) };
        assert_eq!(pulse.due(&closed, just_before(AT + BEGINNING)), Due::Nothing(MILLI));
        assert_eq!(pulse.due(&closed, AT + BEGINNING), Due::NotBegun);
        // Once it is open, it has as long again.
        let late = Signs { opened: Some(just_before(AT + BEGINNING)), ..closed };
        assert_eq!(pulse.due(&late, AT + BEGINNING), Due::Nothing(STUCK));
        assert_eq!(pulse.due(&late, just_before(just_before(AT + 2 * BEGINNING))), Due::Nothing(MILLI));
        assert_eq!(pulse.due(&late, just_before(AT + 2 * BEGINNING)), Due::NotBegun);
    }

    #[test]
    fn who_is_silent_for_thirty_seconds_is_dropped() {
        let mut pulse = shaken();
        pulse.sent(AT + SILENT);
        assert_eq!(pulse.due(&open(Some(AT)), just_before(AT + SILENT)), Due::Nothing(MILLI));
        assert_eq!(pulse.due(&open(Some(AT)), AT + SILENT), Due::Silent);
        assert_eq!(pulse.due(&open(Some(AT + MILLI)), AT + SILENT), Due::Nothing(MILLI));
        // Of one that polls the waiting poll is enough.
        let polling = Signs { comes_and_goes: true, ..open(None) };
        assert_eq!(pulse.due(&polling, AT + 100 * SILENT), Due::Nothing(STUCK));
        assert_eq!(pulse.due(&Signs { heard: Some(AT), ..polling }, AT + SILENT), Due::Silent);
    }

    #[test]
    fn a_ping_is_due_when_nothing_was_sent_for_fifteen_seconds() {
        let mut pulse = shaken();
        let signs = |now| open(Some(now));
        assert_eq!(pulse.due(&signs(AT), just_before(AT + QUIET)), Due::Nothing(MILLI));
        assert_eq!(pulse.due(&signs(AT), AT + QUIET), Due::Ping);
        pulse.sent(AT + QUIET);
        assert_eq!(pulse.due(&signs(AT + QUIET), AT + QUIET), Due::Nothing(STUCK));
        let polling = Signs { comes_and_goes: true, ..signs(AT) };
        assert_eq!(pulse.due(&polling, AT + QUIET), Due::Nothing(STUCK), "it is not pinged");
    }

    #[test]
    fn who_takes_nothing_for_ten_seconds_is_cut() {
        let stuck = |stuck| Signs { stuck: Some(stuck), ..open(Some(AT)) };
        assert_eq!(shaken().due(&stuck(just_before(STUCK)), AT), Due::Nothing(MILLI));
        assert_eq!(shaken().due(&stuck(STUCK), AT), Due::Stuck);
        let away = Signs { comes_and_goes: true, ..stuck(STUCK) };
        assert_eq!(shaken().due(&away, AT), Due::Nothing(STUCK), "it may be between two polls");
        let polling = |long| Signs { comes_and_goes: true, ..stuck(long) };
        assert_eq!(shaken().due(&polling(just_before(SILENT)), AT), Due::Nothing(MILLI));
        assert_eq!(shaken().due(&polling(SILENT), AT), Due::Stuck, "it only talks");
    }
}
