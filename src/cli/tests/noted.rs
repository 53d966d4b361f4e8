//! `recordings correct` and `complaint`: what is put beside a recording, and never in its place.

use crate::cli::exit::Exit;
use crate::cli::tests::site::Site;

#[test]
fn a_correction_stands_beside_what_was_there_and_numbers_are_masked_as_ever() {
    let (site, too_long) = (Site::with_recordings(), "x".repeat(401));
    let correct = |field, value| ["recordings", "correct", "ID", "--field", field, "--value", value, "--reason", "GDPR 16"];

    let said = site.says(&correct("calling", "+4930999888"));
    site.says(&correct("remark", "She spoke for her mother"));
    let shown = site.says(&["recordings", "show", "ID"]);
    let in_full = site.says(&["recordings", "show", "ID", "--numbers", "--json"]);
    let unknown = site.run(&correct("began", "2026-01-01"));
    let long = site.run(&correct("remark", &too_long));

    assert_eq!(said, "Noted as 1: `calling` of recording ID is corrected. What was there stays beside it.\n");
    assert!(shown.contains("  from       …456\n"), "{shown}");
    assert!(
        shown.contains("  corrected  calling should be: …888; 20") && shown.contains("remark should be: She spoke"),
        "{shown}"
    );
    assert!(in_full.contains("\"calling\":\"+4930123456\"") && in_full.contains("\"value\":\"+4930999888\""), "{in_full}");
    assert_eq!([unknown.exit, long.exit], [Exit::Usage; 2]);
    site.says(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);
    assert_eq!(site.run(&correct("remark", "late")).exit, Exit::NotFound, "what was cleared does not come back");
}

#[test]
fn a_complaint_is_open_until_it_is_closed_and_holds_its_recording_where_that_is_asked() {
    let site = Site::with_recordings();

    let added = site.says(&["complaint", "add", "ID", "--text", "Ms Roe: was not asked", "--hold"]);
    site.says(&["complaint", "add", "--text", "too many calls"]);
    let held = site.run(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);
    let listed = site.says(&["complaint", "list"]);
    site.says(&["complaint", "close", "1", "--reason", "answered"]);
    let [again, unknown] = ["1", "9"].map(|number| site.run(&["complaint", "close", number, "--reason", "again"]).exit);

    assert!(added.starts_with("Complaint 1 is noted.\nRecording ID is held: "), "{added}");
    assert!(held.exit == Exit::Refused && held.err.contains(": complaint 1\n"), "{}", held.err);
    assert!(listed.contains("Ms Roe: was not asked") && listed.ends_with("\n2 complaints.\n"), "{listed}");
    assert!(site.says(&["complaint", "list"]).ends_with("\n1 complaint.\n"));
    assert!(site.says(&["complaint", "list", "--all", "--json"]).contains("\"reason\":\"answered\""));
    assert_eq!([again, unknown], [Exit::Refused, Exit::NotFound]);
    assert_eq!(site.run(&["complaint", "add", "--text", "x", "--hold"]).exit, Exit::Usage, "there is nothing to hold");
}

#[test]
fn the_records_of_processing_have_purposes_bases_recipients_and_how_long_it_is_kept() {
    let site = Site::with_recordings();

    let said = site.says(&["processing"]);
    let json: serde_json::Value = serde_json::from_str(&site.says(&["processing", "--json"])).unwrap();

    assert!(
        said.contains("\npurpose quality\n  policy     all: consent, GDPR 6(1)(a); opt-in, the one outside agrees\n"),
        "{said}"
    );
    assert!(said.contains("  opened by  desk\n  kept       erased after 90d\n  there are  2 recordings\n"), "{said}");
    assert_eq!(json["purposes"][0]["policies"][0]["legal_basis"], "consent, GDPR 6(1)(a)");
    assert_eq!(json["purposes"][0]["recipients"][0], "desk");
    assert_eq!((&json["purposes"][0]["kept_at_most"], &json["purposes"][0]["recordings"]), (&"90d".into(), &2.into()));
}
