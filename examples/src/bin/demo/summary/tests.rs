use super::*;

fn summary(verdicts: &[Verdict], failures: Option<&str>, agree: bool) -> Summary {
    let rows = verdicts.iter().map(|verdict| Row {
        resource: Some("a".to_owned()),
        rule: "2 in 1s".to_owned(),
        calls: Some((5, 3)),
        allowed: None,
        worst: None,
        verdict: *verdict,
    });
    let clients = Clients { words: "clients".to_owned(), failures: failures.map(str::to_owned), agree };
    Summary { rows: rows.collect(), clients: vec![clients] }
}

fn text(summary: &Summary) -> String {
    let mut out = Vec::new();
    summary.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_conclusion_says_no_more_than_what_was_judged() {
    let cases: [(&[Verdict], _); 4] = [
        (&[Verdict::NoRule], "no rule was judged"),
        (&[Verdict::NotJudged("why"), Verdict::NoRule], "no rule was judged; not judged: 1"),
        (
            &[Verdict::Held, Verdict::Held, Verdict::NotJudged("why")],
            "every judged rule held (2 judged); not judged: 1",
        ),
        (&[Verdict::Held, Verdict::TooMany, Verdict::TooEarly(9)], "A RULE WAS VIOLATED (2 of 3 judged)"),
    ];
    for (verdicts, words) in cases {
        let summary = summary(verdicts, None, true);
        assert_eq!(summary.words(), words);
        assert_eq!(summary.conclusion() == Conclusion::Bad, words.contains("VIOLATED"));
    }
}

#[test]
fn clients_that_failed_are_not_a_rule_that_was_violated() {
    let summary = summary(&[Verdict::Held], Some("7 requests for /a; the first: connection refused"), true);
    assert_eq!(summary.conclusion(), Conclusion::ClientsFailed);
    let text = text(&summary);
    assert!(text.contains("CLIENTS FAILED: 7 requests") && text.contains("connection refused"), "{text}");
    assert!(text.contains("every judged rule held") && !text.contains("VIOLATED"), "{text}");
}

#[test]
fn counts_that_do_not_agree_are_said_as_such() {
    let summary = summary(&[Verdict::Held], None, false);
    assert_eq!(summary.conclusion(), Conclusion::Bad);
    let text = text(&summary);
    assert!(text.contains("COUNTS DO NOT AGREE") && !text.contains("VIOLATED"), "{text}");
}

#[test]
fn what_was_not_judged_has_a_dash_and_a_reason() {
    let text = text(&summary(&[Verdict::NotJudged("a dry run refuses nothing")], None, true));
    assert!(text.contains(" -               -  not judged: a dry run refuses nothing"), "{text}");
}
