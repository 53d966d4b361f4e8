//! Every bound of the system has a test that shows what happens when it is reached: a list that a bound without one cannot pass.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may panic, and this one reads the source")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each bound of `src/limits.rs`, and who shows its consequence: file and test.
const SHOWN: &[(&str, &[(&str, &str)])] = &[
    ("INDEXED_HEADERS", &[("src/control/config/tests.rs", "each_mistake_is_told_with_what_to_do")]),
    ("INDEXED_OF_CALL", &[("tests/calls/indexed.rs", "more_than_a_ledger_keeps_is_passed_on_and_not_told")]),
    (
        "INDEXED_VALUE",
        &[
            ("src/indexed.rs", "what_is_too_long_or_no_text_is_not_kept"),
            ("tests/calls/indexed.rs", "more_than_a_ledger_keeps_is_passed_on_and_not_told"),
        ],
    ),
    (
        "TOKEN_ANSWER",
        &[
            ("src/token/asked.rs", "a_token_that_hangs_is_waited_for_once_and_asked_again_when_it_is_back"),
            ("src/token/asked.rs", "a_token_that_is_slow_takes_a_part_of_the_time_and_no_more"),
        ],
    ),
    ("API_HEAD_BYTES", &[("src/node/api/tests.rs", "what_is_too_long_or_too_slow_is_refused_and_nothing_is_done")]),
    ("API_BODY_BYTES", &[("src/node/api/tests.rs", "what_is_too_long_or_too_slow_is_refused_and_nothing_is_done")]),
    ("API_PATIENCE", &[("src/node/api/tests.rs", "what_is_too_long_or_too_slow_is_refused_and_nothing_is_done")]),
    ("API_LISTENERS", &[("src/node/api/tests.rs", "so_many_listen_and_no_more")]),
    ("API_EVENTS", &[("src/node/api/tests.rs", "who_listens_hears_a_calls_life_and_how_much_was_missed")]),
    ("API_CONNECTIONS", &[("src/node/api/tests.rs", "there_are_so_many_connections_and_no_more")]),
    ("TOKENS", &[("src/cli/tests/tokens.rs", "there_are_so_many_tokens_and_no_more")]),
    ("TOKEN_LIFE", &[("src/cli/tests/tokens.rs", "a_token_is_for_a_year_at_most")]),
    ("APPROVAL_LIFE", &[("src/catalogue/approval.rs", "what_one_asks_for_another_approves_and_it_is_done_once_within_its_time")]),
    ("SIP_MESSAGE_BYTES", &[("tests/bad_input.rs", "the_longest_datagram_there_is_does_no_harm")]),
    ("SIP_HEADER_LINES", &[("tests/sip_stack.rs", "a_request_with_more_lines_than_may_be_is_400_and_nothing_is_kept")]),
    ("SIP_BREADTH", &[("tests/proxy_rules.rs", "a_request_that_may_have_more_branches_than_anybody_needs_goes_on_with_fewer")]),
    (
        "TRANSACTIONS",
        &[
            ("tests/sip_stack.rs", "at_the_limit_a_new_invite_is_503_and_a_bye_still_passes"),
            ("tests/sip_stack.rs", "at_the_limit_other_requests_are_dropped_and_a_cancel_is_answered_and_obeyed"),
        ],
    ),
    (
        "SIP_PEER_RATE",
        &[
            ("tests/calls/guarded.rs", "what_a_peer_sends_too_fast_is_dropped_and_what_ends_a_call_still_passes"),
            ("src/node/streams.rs", "what_comes_too_fast_waits_in_its_connection_and_is_not_lost"),
        ],
    ),
    (
        "SIP_STRANGER_RATE",
        &[
            ("tests/calls/guarded.rs", "a_stranger_is_refused_so_often_and_no_more"),
            ("tests/calls/guarded.rs", "many_strangers_together_are_refused_so_often_and_no_more"),
        ],
    ),
    ("SIP_SOURCES", &[("src/sip/bucket.rs", "a_flood_from_more_sources_than_are_remembered_gains_nothing_and_takes_no_memory")]),
    ("REGISTER_CONTACTS", &[("tests/calls/registrations.rs", "a_register_with_more_contacts_than_may_be_is_refused")]),
    ("ACKS_HELD", &[("tests/sip_stack.rs", "acks_that_the_call_leaves_lying_push_out_the_oldest")]),
    ("SIP_ENDS", &[("src/control/config/tests.rs", "a_list_of_too_many_addresses_is_told")]),
    ("PEER_ADDRESSES", &[("src/control/config/tests.rs", "a_list_of_too_many_addresses_is_told")]),
    ("SIP_CONNECTIONS", &[("src/node/streams.rs", "there_are_so_many_connections_and_no_more")]),
    ("SIP_CONNECTIONS_PER_HOST", &[("src/node/streams.rs", "one_host_has_so_many_connections_and_no_more")]),
    ("SIP_OUTGOING", &[("src/node/streams.rs", "who_takes_nothing_is_given_up_when_too_much_waits")]),
    ("SIP_CONNECT", &[("src/node/streams.rs", "who_does_not_answer_is_not_waited_for_and_not_tried_again_at_once")]),
    (
        "SIP_PATIENCE",
        &[
            ("src/node/streams.rs", "a_message_that_does_not_end_closes_its_connection"),
            ("src/node/streams.rs", "what_is_not_taken_closes_its_connection"),
        ],
    ),
    ("SIP_IDLE", &[("src/node/streams.rs", "a_connection_on_which_nothing_comes_is_closed_in_the_end")]),
    ("CALLS", &[("tests/calls.rs", "a_call_beyond_all_that_there_may_be_gets_503_and_when_to_try_again")]),
    ("RINGING", &[("tests/calls/guarded.rs", "calls_that_ring_are_bounded_in_all_and_help_is_called_for_beyond_that")]),
    (
        "RINGING_OF_PEER",
        &[
            ("tests/calls/guarded.rs", "calls_of_one_peer_that_ring_are_bounded_and_an_answer_makes_room"),
            ("tests/calls/guarded.rs", "at_ten_times_the_rate_that_is_taken_calls_that_are_up_are_unharmed"),
        ],
    ),
    (
        "OVERLOAD_LAG",
        &[("tests/calls/guarded.rs", "while_the_machine_has_too_much_to_do_new_calls_are_refused_and_nothing_else_is")],
    ),
    (
        "OVERLOAD_CPU_PERCENT",
        &[
            ("tests/calls/guarded.rs", "while_the_machine_has_too_much_to_do_new_calls_are_refused_and_nothing_else_is"),
            ("src/call/overload.rs", "what_is_high_twice_in_a_row_is_over_until_it_is_low"),
        ],
    ),
    ("OVERLOAD_TRANSACTIONS_PERCENT", &[("tests/calls/guarded.rs", "before_the_stack_itself_is_full_new_calls_are_refused")]),
    (
        "OVERLOAD_PORTS_PERCENT",
        &[
            ("tests/calls/guarded.rs", "while_the_machine_has_too_much_to_do_new_calls_are_refused_and_nothing_else_is"),
            ("src/call/overload.rs", "a_small_range_of_ports_is_used_to_its_end"),
        ],
    ),
    (
        "OVERLOAD_QUEUE_PERCENT",
        &[
            ("tests/calls/guarded.rs", "while_the_machine_has_too_much_to_do_new_calls_are_refused_and_nothing_else_is"),
            ("tests/calls/guarded.rs", "a_call_that_is_not_recorded_is_not_refused_for_the_disk"),
            ("src/call/overload.rs", "a_queue_that_does_not_move_is_a_fault_and_no_load"),
        ],
    ),
    ("DIALOGS_PER_CALL", &[("tests/calls.rs", "a_fork_beyond_those_of_a_call_has_its_media_refused")]),
    ("TRANSFERS", &[("tests/calls/transfer.rs", "beyond_the_transfers_that_are_remembered_everybody_is_told")]),
    ("TRANSFER_WAIT", &[("tests/calls/transfer.rs", "only_the_party_that_was_referred_and_only_in_time_has_been_told")]),
    ("MEDIA_LINES", &[("tests/calls.rs", "a_description_with_more_lines_or_more_media_than_may_be_gets_488")]),
    ("SDP_LINES", &[("tests/calls.rs", "a_description_with_more_lines_or_more_media_than_may_be_gets_488")]),
    (
        "ANNOUNCEMENT_RESTARTS",
        &[
            ("tests/announcement_fails.rs", "who_is_put_on_hold_too_often_is_told_no_more"),
            ("tests/announcement_fails.rs", "media_that_keeps_moving_ends_the_announcement_for_good"),
        ],
    ),
    (
        "MEDIA_PACKET_BYTES",
        &[
            ("tests/media_plane.rs", "a_packet_that_is_too_long_or_no_rtp_is_dropped"),
            (
                "src/node/ring.rs",
                "a_datagram_longer_than_a_packet_may_be_is_seen_to_be_longer_and_one_too_long_to_send_finds_no_place",
            ),
        ],
    ),
    (
        "PORT_REST",
        &[
            ("src/media/ports.rs", "a_port_rests_after_its_call"),
            ("tests/bad_input.rs", "without_a_free_port_a_call_is_refused_with_503"),
        ],
    ),
    ("ANNOUNCEMENT_PACKET_BYTES", &[("src/consent/announcement.rs", "packets_that_cannot_be_played_are_no_announcement")]),
    ("LATCH_PACKETS", &[("src/media/latch.rs", "four_packets_in_sequence_make_a_source_the_partys")]),
    ("LATCH_SPAN", &[("src/media/latch.rs", "a_burst_is_not_speech_until_it_has_lasted")]),
    ("LATCH_WINDOW", &[("tests/media_plane.rs", "nobody_is_learned_five_seconds_after_the_answer_before_the_next")]),
    (
        "LATCH_CANDIDATES",
        &[("src/media/latch.rs", "of_more_sources_than_are_counted_the_one_of_which_least_is_known_is_forgotten")],
    ),
    ("SESSION_TIMER_GRACE", &[("tests/calls/session_timer.rs", "a_call_that_nobody_refreshes_and_nobody_is_heard_in_is_ended")]),
    (
        "PORT_STOCK",
        &[
            ("tests/calls.rs", "no_more_ports_are_asked_for_than_make_the_stock_full"),
            ("tests/calls.rs", "a_call_for_which_no_port_is_left_gets_503"),
        ],
    ),
    ("MEDIA_SOCKETS", &[("tests/media_plane.rs", "a_bridge_on_a_socket_beyond_what_a_thread_knows_is_not_built")]),
    ("BRIDGES_PER_PORT", &[("tests/media_plane.rs", "a_bridge_beyond_the_dialogs_of_its_offer_is_not_built")]),
    (
        "MEDIA_MISORDER",
        &[
            ("src/media/splice.rs", "a_source_that_counts_anew_is_carried_on"),
            ("src/media/quality.rs", "a_packet_behind_what_may_be_late_is_a_source_that_counts_anew"),
        ],
    ),
    ("MEDIA_DROPOUT", &[("src/media/quality.rs", "a_jump_beyond_what_may_be_missing_is_a_source_that_counts_anew")]),
    ("MEDIA_CLOCKS", &[("tests/media_plane.rs", "no_jitter_is_told_of_a_clock_that_no_sound_has")]),
    ("MEDIA_EVENTS", &[("src/media/event.rs", "keys_that_nobody_fetches_are_counted_and_not_stored")]),
    ("CRYPTO_LINES", &[("src/wire/sdp/description.rs", "further_keys_than_may_be_are_as_if_they_were_not_there")]),
    ("SRTP_SOURCES", &[("tests/srtp.rs", "streams_are_bounded_and_a_forged_one_is_not_counted")]),
    ("SRTP_REPLAY_WINDOW", &[("src/media/srtp/window.rs", "the_window_is_as_long_as_it_says")]),
    (
        "SRTP_ROLLOVERS_MISSED",
        &[("tests/srtp.rs", "a_stream_that_rolled_over_more_often_without_us_is_not_understood_until_the_next_key")],
    ),
    ("SRTP_OLD_KEY", &[("tests/srtp.rs", "the_old_key_ends_though_nothing_comes_under_the_new")]),
    (
        "SRTP_OLD_KEY_LATE",
        &[("tests/srtp.rs", "packets_under_the_old_key_are_taken_until_shortly_after_the_first_under_the_new")],
    ),
    ("CHUNK_BYTES", &[("src/vault/record.rs", "a_full_chunk_is_handed_out_and_its_buffer_has_not_grown")]),
    ("CHUNK_AGE", &[("src/vault/record.rs", "a_chunk_is_handed_out_at_half_a_second_and_not_before")]),
    ("FORMATS_AGAIN", &[("src/vault/record.rs", "within_a_minute_every_format_is_said_again")]),
    (
        "CHUNKS_HELD_PER_RECORDING",
        &[("src/vault/writer/tests.rs", "what_comes_while_it_fails_for_long_is_dropped_and_becomes_a_gap")],
    ),
    ("CHUNKS_HELD", &[("src/vault/writer/tests.rs", "so_many_chunks_are_held_and_no_more")]),
    (
        "CHUNKS_WAITING",
        &[
            ("tests/threads.rs", "no_more_wait_than_the_bound_allows_however_many_give"),
            ("tests/lane.rs", "what_finds_no_place_on_the_way_to_the_disk_is_a_gap"),
            ("tests/lane.rs", "a_recording_that_finds_no_place_on_the_way_to_the_disk_does_not_begin_and_its_call_goes_on"),
        ],
    ),
    (
        "RECIPIENTS",
        &[
            ("src/control/config/tests.rs", "more_recipients_than_a_recording_can_have_are_refused"),
            ("src/vault/seal.rs", "the_recipients_are_one_to_sixteen_and_each_named_once"),
        ],
    ),
    (
        "SHARES_PATIENCE",
        &[("src/keyfolder/shares/tests.rs", "whoever_hangs_with_the_table_is_waited_for_as_long_as_a_recording_may_wait")],
    ),
    ("TPM_PATIENCE", &[("src/keyfolder/tpm.rs", "what_answers_as_no_tpm_does_or_never_is_told_in_time")]),
    ("REDACTION_BYTES_READ", &[("src/vault/redact.rs", "what_cannot_be_taken_out_is_said")]),
    (
        "CHUNK_BYTES_READ",
        &[
            ("src/vault/format.rs", "a_frame_is_never_empty_never_zero_and_never_longer_than_a_reader_takes"),
            ("src/vault/seal.rs", "evidence_that_is_longer_than_a_reader_takes_begins_no_recording"),
        ],
    ),
    ("CHUNK_BUFFERS_RESTING", &[("src/vault/record.rs", "no_more_buffers_rest_than_may")]),
    ("FORMATS", &[("src/vault/record.rs", "formats_beyond_the_limit_push_out_the_oldest")]),
    ("FORMAT_NAME_BYTES", &[("src/vault/record.rs", "formats_beyond_the_limit_push_out_the_oldest")]),
    ("PBKDF2_ITERATIONS", &[("src/vault/recipient.rs", "a_file_that_asks_for_too_much_work_is_refused_before_it_is_begun")]),
    ("SCRYPT_BYTES", &[("src/vault/recipient.rs", "a_file_that_asks_for_too_much_work_is_refused_before_it_is_begun")]),
    ("SCRYPT_BLOCKS", &[("src/vault/recipient.rs", "a_file_that_asks_for_too_much_work_is_refused_before_it_is_begun")]),
    ("KEY_FILE_ENTRIES", &[("src/vault/wraps.rs", "a_key_file_with_more_entries_than_may_be_is_refused")]),
    ("CALL_KEPT", &[("src/node/restored.rs", "what_is_older_than_any_call_or_cannot_be_read_is_not_restored")]),
    ("STAMPS_WAITING", &[("src/node/store/chained.rs", "more_than_may_wait_for_a_timestamp_are_given_up_the_oldest_first")]),
    ("HOOK_ANSWER_BYTES", &[("src/node/hook.rs", "an_answer_that_is_longer_than_any_is_none")]),
    ("HOOKS_AT_ONCE", &[("src/node/hook.rs", "a_question_beyond_all_that_may_wait_is_answered_by_silence")]),
    ("STAMP_BYTES", &[("src/node/stamper.rs", "an_answer_that_is_longer_than_any_is_not_read")]),
    ("LEDGER_EVENTS_CHECKED", &[("src/node/heads.rs", "more_events_than_may_be_are_not_looked_through_at_a_start")]),
    ("LEDGER_ROWS_WAITING", &[("src/node/ledger.rs", "a_row_beyond_those_that_may_wait_is_lost_and_counted")]),
];

#[test]
fn every_bound_has_a_test_that_shows_what_happens_when_it_is_reached() {
    let text = read("src/limits.rs");
    let bounds: BTreeSet<&str> = text.lines().filter_map(bound).collect();
    let shown: BTreeMap<&str, &[(&str, &str)]> = SHOWN.iter().copied().collect();

    let without: Vec<_> = bounds.iter().filter(|bound| !shown.contains_key(*bound)).collect();
    let gone: Vec<_> = shown.keys().filter(|bound| !bounds.contains(*bound)).collect();
    assert!(without.is_empty(), "these bounds have no entry here, and so no test that shows their consequence: {without:?}");
    assert!(gone.is_empty(), "these are no bounds of `src/limits.rs`: {gone:?}");
    assert_eq!(SHOWN.len(), shown.len(), "a bound has one entry");
}

#[test]
fn every_test_that_is_named_here_is_there() {
    let missing: Vec<_> = SHOWN
        .iter()
        .copied()
        .flat_map(|(bound, tests)| tests.iter().map(move |&(file, test)| (bound, file, test)))
        .filter(|(_, file, test)| !has_test(&read(file), test))
        .collect();

    assert!(missing.is_empty(), "{missing:#?}");
    assert!(SHOWN.iter().all(|(_, tests)| !tests.is_empty()));
}

#[test]
fn a_function_that_is_no_test_is_not_taken_for_one() {
    let text = "#[test]\nfn one() {}\n\nfn two() {}\n#[tokio::test]\nasync fn four() {}\n    #[test]\n    /// Why.\n    fn three_and_more(\n";

    assert!(has_test(text, "one") && has_test(text, "three_and_more") && has_test(text, "four"));
    assert!(!has_test(text, "two") && !has_test(text, "three"));
    assert_eq!(["pub const A_B: usize = 1;", "const C: u8 = 1;", "/// pub const D: u8"].map(bound), [Some("A_B"), None, None]);
}

/// The bound that a line declares.
fn bound(line: &str) -> Option<&str> {
    line.strip_prefix("pub const ")?.split_once(':').map(|(name, _)| name)
}

/// Whether a file has this function, with `#[test]` before it.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let Some(at) = lines.iter().position(|line| {
        line.trim_start_matches("async ")
            .strip_prefix("fn ")
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('('))
    }) else {
        return false;
    };
    let above = lines.get(..at).unwrap_or_default().iter().rev();
    above
        .take_while(|line| line.starts_with("#[") || line.starts_with("///"))
        .any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"))
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}
