//! In which form metrics are told: what Prometheus has read from the beginning, or OpenMetrics.

/// The form of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The form that a client prefers by its `Accept` (RFC 9110 §12.5.1): OpenMetrics where it is named and nothing that
    /// we have is preferred to it.
    pub fn of_accept(accept: &str) -> Self {
        let (mut open, mut plain) = (0.0_f32, 0.0_f32);
        for item in accept.split(',') {
            let mut parts = item.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0_f32, None);
            for parameter in parts {
                match parameter.split_once('=') {
                    Some((name, value)) if name.eq_ignore_ascii_case("q") => {
                        quality = value.parse().unwrap_or(0.0);
                    }
                    Some((name, value)) if name.eq_ignore_ascii_case("version") => {
                        version = Some(value.trim_matches('"').to_owned());
                    }
                    _ => {}
                }
            }
            match (&*media, version.as_deref()) {
                ("application/openmetrics-text", None | Some("1.0.0")) => open = quality.max(open),
                ("text/plain" | "text/*" | "*/*", _) => plain = quality.max(plain),
                _ => {}
            }
        }
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The media type of the answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// An answer in this form, from one in that of OpenMetrics.
    pub(super) fn of_open_metrics(self, text: String) -> String {
        match self {
            Self::OpenMetrics => text,
            Self::Prometheus => classic(&text),
        }
    }
}

/// The same in the older form. That one knows counters by their whole names, no units, no type for what only informs,
/// and no mark of its end; the lines with numbers are the same in both.
fn classic(text: &str) -> String {
    let mut classic = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# HELP ") {
            // It stands before the type, which says what the family is called here.
            help = family.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            if let Some((_, text)) = help.take() {
                classic.extend(["# HELP ", name, suffix, " ", text, "\n"]);
            }
            classic.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            classic.extend([line, "\n"]);
        }
    }
    classic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;\
                          q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/html, */*;q=0.8", Format::Prometheus),
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8", Format::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.3", Format::Prometheus),
            ("application/openmetrics-text;q=x", Format::Prometheus),
        ] {
            assert_eq!(Format::of_accept(accept), format, "{accept}");
        }
    }

    #[test]
    fn the_older_form_has_its_own_names() {
        let open = "# HELP a_jobs Jobs.\n# TYPE a_jobs counter\na_jobs_total{q=\"#\"} 1\n# HELP a_build B.\n\
                    # TYPE a_build info\na_build_info{v=\"1\"} 1\n# HELP a_wait_seconds W.\n\
                    # TYPE a_wait_seconds gauge\n# UNIT a_wait_seconds seconds\na_wait_seconds 0.5\n# EOF\n";
        let wanted = "# HELP a_jobs_total Jobs.\n# TYPE a_jobs_total counter\na_jobs_total{q=\"#\"} 1\n\
                      # HELP a_build_info B.\n# TYPE a_build_info gauge\na_build_info{v=\"1\"} 1\n\
                      # HELP a_wait_seconds W.\n# TYPE a_wait_seconds gauge\na_wait_seconds 0.5\n";
        assert_eq!(Format::Prometheus.of_open_metrics(open.to_owned()), wanted);
        assert_eq!(Format::OpenMetrics.of_open_metrics(open.to_owned()), open);
    }
}
