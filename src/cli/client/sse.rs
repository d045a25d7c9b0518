//! Server-sent events as a client reads them (WHATWG, "Interpreting an event stream").

/// How much an event may have, in bytes: a job is far smaller.
const LARGEST: usize = 1 << 20;

/// One event.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Message {
    /// Its type; empty: `message`.
    pub(super) event: String,
    /// Its data, lines with `\n` between them.
    pub(super) data: String,
}

/// Reads a stream piece by piece.
#[derive(Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    /// A CR was the last byte, so that a LF belongs to it.
    after_cr: bool,
    message: Message,
    has_data: bool,
    id: Option<String>,
    /// `Last-Event-ID`, of what has come whole.
    pub(super) last_id: Option<String>,
    /// How long to wait before the next connection, in milliseconds, if the server has said so.
    pub(super) retry: Option<u64>,
}

/// An event that is larger than any of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Reader {
    /// Begins a new connection. What had not come whole is forgotten.
    pub(super) fn restart(&mut self) {
        let (last_id, retry) = (self.last_id.take(), self.retry);
        *self = Self { id: last_id.clone(), last_id, retry, ..Self::default() };
    }

    /// Takes what has come, and gives back the events that are whole by it.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Vec<Message>, TooLarge> {
        let mut whole = Vec::new();
        for byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, *byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    whole.extend(self.end_of_line(&String::from_utf8_lossy(&line)));
                }
                byte => self.line.push(*byte),
            }
            if self.line.len() + self.message.data.len() > LARGEST {
                return Err(TooLarge);
            }
        }
        Ok(whole)
    }

    fn end_of_line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            self.last_id.clone_from(&self.id);
            let message = std::mem::take(&mut self.message);
            return std::mem::take(&mut self.has_data).then_some(message);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.message.event),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()).filter(|id| !id.is_empty()),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().or(self.retry);
            }
            // A comment, or a field that nobody knows.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: &str, data: &str) -> Message {
        Message { event: event.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_are_read_however_they_are_cut() {
        let stream = "retry: 3000\n\n: hello\r\nid: 7\r\nevent: job.snapshot\rdata:{\"a\":1}\n\ndata: x\ndata:  y\nfoo\n\n\
                      id: 8\ndata: lost";
        for size in 1..stream.len() {
            let mut reader = Reader::default();
            let pieces = stream.as_bytes().chunks(size);
            let all: Vec<Message> = pieces.flat_map(|piece| reader.read(piece).unwrap()).collect();
            assert_eq!(all, [message("job.snapshot", "{\"a\":1}"), message("", "x\n y")], "{size}");
            // What was not whole is not remembered.
            assert_eq!((reader.last_id.as_deref(), reader.retry), (Some("7"), Some(3_000)));
            reader.restart();
            assert_eq!(reader.read(b"data: z\n\n").unwrap(), [message("", "z")]);
            assert_eq!((reader.last_id.as_deref(), reader.retry), (Some("7"), Some(3_000)));
        }
    }

    #[test]
    fn ids_and_times_that_are_none_change_nothing() {
        let mut reader = Reader::default();
        reader.read(b"id: 1\nretry: 5\n\nid: a\0b\nretry: -1\nretry: 99999999999999999999999\n\n").unwrap();
        assert_eq!((reader.last_id.as_deref(), reader.retry), (Some("1"), Some(5)));
        reader.read(b"id\n\n").unwrap();
        assert_eq!(reader.last_id, None);
    }

    #[test]
    fn an_event_has_a_largest_size() {
        let line = |size: usize| [b"data: ".as_slice(), &vec![b'x'; size - 6]].concat();
        assert!(Reader::default().read(&line(LARGEST)).is_ok());
        assert_eq!(Reader::default().read(&line(LARGEST + 1)), Err(TooLarge));
        let mut reader = Reader::default();
        let lines: Vec<u8> = b"data: 0123456789\n".repeat(LARGEST / 8);
        assert_eq!(reader.read(&lines), Err(TooLarge));
    }
}
