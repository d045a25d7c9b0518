use super::*;
use crate::job::Timestamp;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|reason| panic!("{text}: {reason}"))
}

fn table(cron: &str, zone: &str) -> Timetable {
    Timetable::new(cron, zone).unwrap_or_else(|reason| panic!("{cron} {zone}: {reason}"))
}

/// The times of a rhythm in a time zone, from one instant to another, without their seconds.
fn times(cron: &str, zone: &str, from: &str, to: &str) -> Vec<String> {
    let times = table(cron, zone);
    let to = at(to);
    times
        .all_after(at(from))
        .take_while(|time| *time < to)
        .map(|time| time.to_string()[5..16].to_owned())
        .collect()
}

/// The night of 29 March 2026 in Berlin: from two the clocks go to three, which is 01:00 UTC.
fn spring(cron: &str) -> Vec<String> {
    times(cron, "Europe/Berlin", "2026-03-28T23:30:00Z", "2026-03-29T04:00:00Z")
}

/// The night of 25 October 2026 in Berlin: from three they go back to two, which is 01:00 UTC.
fn autumn(cron: &str) -> Vec<String> {
    times(cron, "Europe/Berlin", "2026-10-24T22:30:00Z", "2026-10-25T04:00:00Z")
}

#[test]
fn a_time_that_is_skipped_comes_when_the_clocks_go_on() {
    assert_eq!(spring("30 2 * * *"), ["03-29T01:00"]);
    assert_eq!(spring("0 2 * * *"), ["03-29T01:00"]);
    assert_eq!(spring("59 1 * * *"), ["03-29T00:59"]);
    assert_eq!(spring("0 3 * * *"), ["03-29T01:00"]);
    assert_eq!(spring("15 30 2 * * *"), ["03-29T01:00"]);
    // Several that are skipped, and the one that comes then, are one run.
    assert_eq!(spring("0,20,40 2 * * *"), ["03-29T01:00"]);
    assert_eq!(spring("30 1-3 * * *"), ["03-29T00:30", "03-29T01:00", "03-29T01:30"]);
    assert_eq!(spring("0 2,3 * * *"), ["03-29T01:00"]);
    let ny = |cron| times(cron, "America/New_York", "2026-03-08T05:30:00Z", "2026-03-08T09:00:00Z");
    assert_eq!(ny("30 2 * * *"), ["03-08T07:00"]);
    assert_eq!(ny("30 1 * * *"), ["03-08T06:30"]);
    // Where the clocks skip midnight.
    let santiago = |cron| times(cron, "America/Santiago", "2026-09-06T02:00:00Z", "2026-09-06T06:00:00Z");
    assert_eq!(santiago("30 0 * * *"), ["09-06T04:00"]);
    // Where a whole day was skipped.
    let apia = |cron| times(cron, "Pacific/Apia", "2011-12-30T00:00:00Z", "2012-01-01T00:00:00Z");
    assert_eq!(apia("0 12 * * *"), ["12-30T10:00", "12-30T22:00", "12-31T22:00"]);
}

#[test]
fn a_time_that_comes_twice_is_had_once() {
    assert_eq!(autumn("30 2 * * *"), ["10-25T00:30"]);
    assert_eq!(autumn("0 2 * * *"), ["10-25T00:00"]);
    assert_eq!(autumn("0 3 * * *"), ["10-25T02:00"]);
    assert_eq!(autumn("0,30 1-3 * * *").len(), 6);
    let ny = |cron| times(cron, "America/New_York", "2026-11-01T04:30:00Z", "2026-11-01T09:00:00Z");
    assert_eq!(ny("30 1 * * *"), ["11-01T05:30"]);
    assert_eq!(ny("30 2 * * *"), ["11-01T07:30"]);
    // Also when it is asked within the hour that comes again.
    let berlin = table("30 2 * * *", "Europe/Berlin");
    assert_eq!(berlin.after(at("2026-10-25T01:10:00Z")), Some(at("2026-10-26T01:30:00Z")));
}

#[test]
fn what_comes_often_comes_as_time_passes() {
    assert_eq!(
        spring("30 * * * *"),
        ["03-29T00:30", "03-29T01:30", "03-29T02:30", "03-29T03:30"],
        "every hour, of which there are four"
    );
    assert_eq!(autumn("0 * * * *").len(), 5);
    assert_eq!(autumn("30 * * * *").len(), 5, "every hour, also in the one that comes again");
    assert_eq!(spring("*/15 2 * * *"), [""; 0], "there is no such hour on that day");
    assert_eq!(autumn("*/15 2 * * *").len(), 8, "and here there are two of it");
    assert_eq!(autumn("0-59 2 * * *").len(), 120, "a list of everything is no less");
    assert_eq!(spring("@hourly").len(), 4);
    let ny = |cron| times(cron, "America/New_York", "2026-11-01T04:45:00Z", "2026-11-01T07:45:00Z");
    assert_eq!(ny("30 * * * *"), ["11-01T05:30", "11-01T06:30", "11-01T07:30"]);
    // Clocks that go back by half an hour only.
    let howe = |cron| times(cron, "Australia/Lord_Howe", "2026-04-04T13:50:00Z", "2026-04-04T16:45:00Z");
    assert_eq!(howe("40 * * * *"), ["04-04T14:40", "04-04T15:10", "04-04T16:10"]);
}

#[test]
fn calendars_have_their_corners() {
    let next = |cron: &str, from: &str| table(cron, "UTC").after(at(from)).unwrap().to_string();
    assert_eq!(next("0 0 29 2 *", "2026-01-01T00:00:00Z"), "2028-02-29T00:00:00.000Z");
    assert_eq!(next("0 0 29 2 *", "2096-03-01T00:00:00Z"), "2104-02-29T00:00:00.000Z");
    assert_eq!(next("0 12 L * *", "2026-02-01T00:00:00Z"), "2026-02-28T12:00:00.000Z");
    assert_eq!(next("0 12 31 * *", "2026-03-31T12:00:00Z"), "2026-05-31T12:00:00.000Z");
    assert_eq!(next("0 9 15W * *", "2026-08-01T00:00:00Z"), "2026-08-14T09:00:00.000Z");
    assert_eq!(next("0 9 * * FRI#2", "2026-08-01T00:00:00Z"), "2026-08-14T09:00:00.000Z");
    assert_eq!(next("0 9 * * FRI#L", "2026-08-01T00:00:00Z"), "2026-08-28T09:00:00.000Z");
    // A day of the month or of the week, whichever comes first; with a plus, both.
    assert_eq!(next("0 9 13 * FRI", "2026-11-07T00:00:00Z"), "2026-11-13T09:00:00.000Z");
    assert_eq!(next("0 9 14 * FRI", "2026-11-07T00:00:00Z"), "2026-11-13T09:00:00.000Z");
    assert_eq!(next("0 9 13 * +FRI", "2026-11-14T00:00:00Z"), "2027-08-13T09:00:00.000Z");
    assert_eq!(next("0 0 * * 7", "2026-11-28T00:00:00Z"), "2026-11-29T00:00:00.000Z");
    assert_eq!(next("59 59 23 31 12 *", "2026-12-31T23:59:58.999Z"), "2026-12-31T23:59:59.000Z");
}

#[test]
fn seconds_come_first_and_the_same_time_never_again() {
    let each = table("*/20 * * * * *", "UTC");
    let from = at("2026-11-20T16:50:00Z");
    let times: Vec<String> =
        each.all_after(from).take(4).map(|time| time.to_string()[14..23].to_owned()).collect();
    assert_eq!(times, ["50:20.000", "50:40.000", "51:00.000", "51:20.000"]);
    // Neither a millisecond before nor after changes what comes next.
    for (from, next) in [("16:50:19.999", "20"), ("16:50:20.000", "40"), ("16:50:20.001", "40")] {
        let next_time = each.after(at(&format!("2026-11-20T{from}Z"))).unwrap();
        assert_eq!(next_time, at(&format!("2026-11-20T16:50:{next}Z")), "{from}");
    }
}

#[test]
fn every_is_counted_from_1970_and_not_from_the_start() {
    let next = |cron: &str, from: &str| table(cron, "Europe/Berlin").after(at(from)).unwrap().to_string();
    assert_eq!(next("@every 30s", "2026-11-20T16:50:07Z"), "2026-11-20T16:50:30.000Z");
    assert_eq!(next("@every 30s", "2026-11-20T16:50:30Z"), "2026-11-20T16:51:00.000Z");
    assert_eq!(next("@every 1h30m", "2026-11-20T16:50:30Z"), "2026-11-20T18:00:00.000Z");
    assert_eq!(next("@EVERY 1h 30m", "2026-11-20T16:50:30Z"), "2026-11-20T18:00:00.000Z");
    assert_eq!(next("@every 1500ms", "1970-01-01T00:00:00.001Z"), "1970-01-01T00:00:01.500Z");
    // Neither change of the clocks is noticed.
    assert_eq!(spring("@every 20m").len(), 13);
    assert_eq!(autumn("@every 20m").len(), 16);
    for (cron, fits) in [
        ("@every 999ms", false),
        ("@every 1s", true),
        ("@every 1001ms", true),
        ("@every 31622399s", true),
        ("@every 366d", true),
        ("@every 31622401s", false),
    ] {
        assert_eq!(Timetable::check_cron(cron).is_ok(), fits, "{cron}");
    }
}

#[test]
fn words_stand_for_what_everybody_takes_them_for() {
    for (word, same) in [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@Hourly", "0 * * * *"),
    ] {
        let from = at("2026-11-20T16:50:00Z");
        let of = |cron| table(cron, "America/New_York").all_after(from).take(3).collect::<Vec<_>>();
        assert_eq!(of(word), of(same), "{word}");
    }
}

#[test]
fn what_is_no_rhythm_is_refused_with_what_would_be_right() {
    let reasons: Vec<String> = [
        "",
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 32 * *",
        "0 0 1 13 *",
        "0 0 * * 8",
        "61 25 * * MOND",
        "60 0 0 * * *",
        "0 5-1 * * *",
        "*/0 * * * *",
        "a b c d e",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 31 2 +MON",
        "@dayly",
        "@reboot",
        "@daily now",
        "@every",
        "@every 30",
        "@every soon",
        "@every 10ms",
        "täglich",
        &"1,".repeat(101),
    ]
    .into_iter()
    .map(|cron| {
        let shown: String = cron.chars().take(20).collect();
        format!("{shown:?}: {}", Timetable::check_cron(cron).expect_err(cron))
    })
    .collect();
    insta::assert_snapshot!(reasons.join("\n"));
}

#[test]
fn time_ends_somewhere() {
    let last = at("9999-12-30T00:00:00Z");
    assert_eq!(table("@every 366d", "UTC").after(last), None);
    assert_eq!(table("0 0 1 1 *", "UTC").after(last), None);
    assert_eq!(table("0 0 1 1 *", "Europe/Berlin").after(Timestamp::MAX), None);
    assert_eq!(table("* * * * *", "UTC").after(Timestamp::MAX), None);
}

/// Whatever is asked in whichever zone: what comes next is later, and nothing lies between.
mod by_chance {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn nothing_lies_between(
            cron in prop::sample::select(vec![
                "30 2 * * *", "0 0 * * *", "*/20 * * * *", "0 2,3 * * *", "15 30 1-3 * * *", "0 */6 * * *", "@every 7m",
            ]),
            zone in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago",
            ]),
            // Around the changes of 2026, and anywhere else.
            start in prop_oneof![
                1_774_735_200_000..1_774_764_000_000_i64,
                1_792_879_200_000..1_792_908_000_000_i64,
                0..4_000_000_000_000_i64,
            ],
            steps in prop::collection::vec(1..7_200_000_i64, 1..5),
        ) {
            let table = table(cron, zone);
            let from = Timestamp::from_millis(start);
            let next = table.after(from).unwrap();
            prop_assert!(next > from);
            let mut between = start;
            for step in steps {
                between += step;
                let asked = table.after(Timestamp::from_millis(between)).unwrap();
                if between < next.as_millis() {
                    prop_assert_eq!(asked, next);
                } else {
                    prop_assert!(asked > next);
                }
            }
        }
    }
}
