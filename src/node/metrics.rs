//! What Prometheus scrapes: names, help and owners of every counter. No number and no name of a person is ever a label.

use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::ids::Leg;
use crate::lane;
use crate::media::BridgeTallies;
use crate::media::srtp::{NotSealed, Refused};

/// All metrics.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    /// Calls by state.
    pub(super) calls: IntGaugeVec,
    /// Ended calls by reason.
    pub(super) calls_ended: IntCounterVec,
    /// Consent outcomes by mode.
    pub(super) consent: IntCounterVec,
    /// Legs with media.
    pub(super) legs: IntGauge,
    pub(super) ports_in_use: IntGaugeVec,
    pub(super) ports_free: IntGaugeVec,
    pub(super) sip_received: IntCounter,
    pub(super) sip_sent: IntCounter,
    pub(super) sip_send_errors: IntCounter,
    pub(super) sip_strangers: IntCounter,
    pub(super) sip_over_rate: IntCounterVec,
    pub(super) overload: IntGaugeVec,
    pub(super) overload_refused: IntCounterVec,
    pub(super) overload_lag: Gauge,
    pub(super) sip_connections: IntGaugeVec,
    pub(super) peer_up: IntGaugeVec,
    pub(super) sip_connections_refused: IntCounterVec,
    pub(super) sip_connections_ended: IntCounterVec,
    pub(super) certificates_refused: IntCounter,
    pub(super) sip_foreign_in_dialog: IntCounter,
    pub(super) forks_refused: IntCounter,
    pub(super) registered_past_us: IntCounter,
    pub(super) sip_dropped: IntCounterVec,
    rtp_received: IntCounter,
    rtp_received_bytes: IntCounter,
    rtp_forwarded: IntCounter,
    rtp_announced: IntCounter,
    rtp_send_errors: IntCounter,
    rtp_receive_errors: IntCounter,
    rtp_recorded: IntCounter,
    rtp_strangers: IntCounter,
    srtp_refused: IntCounterVec,
    srtp_not_sealed: IntCounterVec,
    rtp_replaced: IntCounter,
    rtp_held: IntCounter,
    rtp_withheld: IntCounter,
    loss: HistogramVec,
    jitter: HistogramVec,
    mos: HistogramVec,
    one_way: IntCounterVec,
    pub(super) dead: IntCounter,
    recording_gaps: IntCounter,
    pub(super) recordings_begun: IntCounter,
    pub(super) recordings_sealed: IntCounter,
    pub(super) recordings_torn: IntCounter,
    pub(super) recordings_salvaged: IntCounter,
    pub(super) recordings_unsigned: IntCounter,
    pub(super) recordings_dropping: IntCounter,
    pub(super) vault_shut: IntGauge,
    pub(super) vault_failing: IntGauge,
    pub(super) vault_free: IntGauge,
    pub(super) spare_failing: IntGauge,
    pub(super) spare_free: IntGauge,
    pub(super) recordings_moved: IntCounter,
    pub(super) calls_restored: IntCounter,
    pub(super) retention_overdue: IntGauge,
    pub(super) retention_erased: IntCounterVec,
    pub(super) retention_failures: IntCounter,
    pub(super) retention_clock_lag: IntGauge,
    pub(super) quota: IntGaugeVec,
    pub(super) quota_used: IntGaugeVec,
    pub(super) quota_barred: IntGaugeVec,
    pub(super) quota_full: IntGaugeVec,
    pub(super) chunks_sealed: IntCounter,
    pub(super) seal_latency: Histogram,
    pub(super) disk_queue: IntGauge,
    pub(super) ledger_queue: IntGauge,
    pub(super) file_errors: IntCounter,
    pub(super) ledger_rows: IntCounter,
    pub(super) ledger_errors: IntCounter,
    pub(super) ledger_head: IntGauge,
    pub(super) ledger_chain_broken: IntGauge,
    pub(super) glass_broken: IntCounter,
    pub(super) access_denied: IntCounter,
    pub(super) timestamps: IntCounter,
    pub(super) timestamp_failures: IntCounter,
    pub(super) timestamps_waiting: IntGauge,
    pub(super) timestamps_given_up: IntCounter,
    /// By policy.
    pub(super) review_due: IntGaugeVec,
    /// What the web hook has said, and how long it took.
    pub(super) hook_answers: IntCounterVec,
    pub(super) hook_seconds: Histogram,
}

impl Metrics {
    /// Makes and registers all metrics.
    ///
    /// # Panics
    /// Never: every name is distinct and well-formed, which a test makes sure of.
    pub(super) fn new() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help).expect("a well-formed name");
            registry.register(Box::new(counter.clone())).expect("a name of its own");
            counter
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help).expect("a well-formed name");
            registry.register(Box::new(gauge.clone())).expect("a name of its own");
            gauge
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels).expect("a well-formed name");
            registry.register(Box::new(counters.clone())).expect("a name of its own");
            counters
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), labels).expect("a well-formed name");
            registry.register(Box::new(gauges.clone())).expect("a name of its own");
            gauges
        };
        // By leg alone: whose leg it was is no label.
        let by_leg = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let histograms = HistogramVec::new(options, &["leg"]).expect("a well-formed name");
            registry.register(Box::new(histograms.clone())).expect("a name of its own");
            histograms
        };
        let options =
            HistogramOpts::new("mitschnitt_hook_seconds", "How long the web hook took for an answer, or until it was given up.");
        let buckets = vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let hook_seconds = Histogram::with_opts(options.buckets(buckets)).expect("a well-formed name");
        registry.register(Box::new(hook_seconds.clone())).expect("a name of its own");
        let seal_latency = Histogram::with_opts(
            HistogramOpts::new(
                "mitschnitt_vault_seal_latency_seconds",
                "Time from the arrival of a chunk's first packet until the sealed chunk was written.",
            )
            .buckets(vec![0.1, 0.25, 0.5, 0.55, 0.6, 0.75, 1.0, 1.5, 2.0, 5.0, 30.0]),
        )
        .expect("a well-formed name");
        registry.register(Box::new(seal_latency.clone())).expect("a name of its own");
        let overload_lag = Gauge::new(
            "mitschnitt_sip_lag_seconds",
            "How long a message may have waited for signalling within the last second, or how late a timer was: the longest.",
        )
        .expect("a well-formed name");
        registry.register(Box::new(overload_lag.clone())).expect("a name of its own");
        Self {
            calls: gauges("mitschnitt_call_calls", "Calls that are, by state: ringing, up, recording, paused.", &["state"]),
            calls_ended: counters(
                "mitschnitt_call_ended_total",
                "Calls that ended, by the reason why they have a recording or none.",
                &["reason"],
            ),
            consent: counters("mitschnitt_consent_outcomes_total", "Answers to the question, by outcome.", &["outcome"]),
            legs: gauge("mitschnitt_media_legs", "Legs of calls that are up."),
            ports_in_use: gauges("mitschnitt_media_ports_in_use", "Ports held by calls or by the stock, by leg.", &["leg"]),
            ports_free: gauges("mitschnitt_media_ports_free", "Ports that a call could be given now, by leg.", &["leg"]),
            sip_received: counter("mitschnitt_sip_received_total", "SIP messages received."),
            sip_sent: counter("mitschnitt_sip_sent_total", "SIP messages sent."),
            sip_send_errors: counter("mitschnitt_sip_send_errors_total", "SIP messages that could not be sent."),
            sip_strangers: counter("mitschnitt_sip_strangers_total", "Messages from neither the PBX nor a trunk."),
            peer_up: gauges(
                "mitschnitt_peer_up",
                "Whether an address of the PBX or of a trunk serves: 0 where it is down, or a call was not served there within 30 s.",
                &["peer", "transport", "address"],
            ),
            overload: gauges(
                "mitschnitt_overload",
                "Whether new calls are refused because there is too much of something, by watermark: 1 while they are.",
                &["watermark"],
            ),
            overload_refused: counters(
                "mitschnitt_overload_refused_total",
                "New calls that were refused with 503 because there was too much of something, by watermark.",
                &["watermark"],
            ),
            overload_lag,
            sip_over_rate: counters(
                "mitschnitt_sip_over_rate_total",
                "Datagrams that came faster than is taken of one address and were dropped before they were parsed, by whom: peer, stranger.",
                &["from"],
            ),
            sip_connections: gauges("mitschnitt_sip_connections", "Connections that are, by transport.", &["transport"]),
            sip_connections_refused: counters(
                "mitschnitt_sip_connections_refused_total",
                "Connections that were closed before a byte was read: of strangers, or too many.",
                &["why"],
            ),
            sip_connections_ended: counters(
                "mitschnitt_sip_connections_ended_total",
                "Connections that ended, by why: not opened, not let in, ended by the peer, idle, too slow.",
                &["why"],
            ),
            certificates_refused: counter(
                "mitschnitt_tls_renewals_failed_total",
                "Times that the certificate files had changed and could not be used; the old ones are.",
            ),
            sip_foreign_in_dialog: counter(
                "mitschnitt_sip_foreign_in_dialog_total",
                "In-dialog requests that were refused because their sender or tags are not the dialog's.",
            ),
            forks_refused: counter(
                "mitschnitt_call_forks_refused_total",
                "Answers that passed with their media rejected: too many forks, or no port left.",
            ),
            registered_past_us: counter(
                "mitschnitt_sip_registered_past_us_total",
                "Registrations that a carrier took without the Path that leads its calls by the proxy.",
            ),
            sip_dropped: counters(
                "mitschnitt_sip_dropped_total",
                "SIP messages dropped without an answer, by cause.",
                &["cause"],
            ),
            rtp_received: counter("mitschnitt_media_received_packets_total", "Media packets received, RTCP included."),
            rtp_received_bytes: counter("mitschnitt_media_received_bytes_total", "Bytes of media received, without IP and UDP."),
            rtp_forwarded: counter("mitschnitt_media_forwarded_packets_total", "Media packets relayed to the other leg."),
            rtp_announced: counter("mitschnitt_media_announced_packets_total", "Packets of announcements sent."),
            rtp_send_errors: counter("mitschnitt_media_send_errors_total", "Media packets that could not be sent."),
            rtp_receive_errors: counter("mitschnitt_media_receive_errors_total", "Errors when receiving media."),
            rtp_recorded: counter("mitschnitt_media_recorded_packets_total", "RTP packets given to recorders."),
            rtp_strangers: counter(
                "mitschnitt_media_strangers_packets_total",
                "Media packets from addresses that no SDP named: dropped.",
            ),
            srtp_refused: counters(
                "mitschnitt_srtp_packets_refused_total",
                "SRTP and SRTCP packets from a party's address that its key did not open, by reason: dropped.",
                &["reason"],
            ),
            srtp_not_sealed: counters(
                "mitschnitt_srtp_packets_not_sealed_total",
                "Packets that were to go on by SRTP or SRTCP and could not be sealed, by reason: not sent.",
                &["reason"],
            ),
            rtp_replaced: counter(
                "mitschnitt_media_replaced_packets_total",
                "Media packets that an announcement took the place of; told when the call ends.",
            ),
            rtp_held: counter(
                "mitschnitt_media_held_packets_total",
                "Media packets that were not relayed because the other party was on hold; told when the call ends.",
            ),
            rtp_withheld: counter(
                "mitschnitt_media_keys_withheld_packets_total",
                "Packets of pressed keys, which are relayed and never recorded; told when the call ends.",
            ),
            loss: by_leg(
                "mitschnitt_media_loss_ratio",
                "Packets that never came from a leg, of those that its sequence numbers promise, 0 to 1; told when its bridge is closed, where at least 50 were.",
                &[0.0, 0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5],
            ),
            jitter: by_leg(
                "mitschnitt_media_jitter_seconds",
                "The mean interarrival jitter (RFC 3550) of what came from a leg; told when its bridge is closed.",
                &[0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2],
            ),
            mos: by_leg(
                "mitschnitt_media_mos",
                "The mean opinion score of what came from a leg, 1 to 4.41: an estimate by the E-model (ITU-T G.107) as if it were G.711; told when its bridge is closed.",
                &[1.5, 2.0, 2.5, 3.0, 3.5, 3.8, 4.0, 4.2, 4.3, 4.4],
            ),
            one_way: counters(
                "mitschnitt_media_one_way_total",
                "Legs of which nothing was heard, or nothing any more, although the other talked; told when the bridge is closed.",
                &["leg"],
            ),
            dead: counter(
                "mitschnitt_media_dead_total",
                "Calls that were up and not on hold, and of which nothing came from either side for `media.dead_after_s`.",
            ),
            recording_gaps: counter(
                "mitschnitt_vault_gaps_total",
                "Chunks that the disk lane could not take: gaps in recordings.",
            ),
            recordings_begun: counter("mitschnitt_vault_recordings_begun_total", "Recordings begun."),
            recordings_sealed: counter("mitschnitt_vault_recordings_sealed_total", "Recordings closed and signed."),
            calls_restored: counter("mitschnitt_calls_restored_total", "Calls that go on after a restart, unrecorded."),
            recordings_torn: counter("mitschnitt_vault_recordings_torn_total", "Recordings that ended without their end mark."),
            recordings_dropping: counter(
                "mitschnitt_vault_recordings_dropping_total",
                "Times a recording could not be written for so long that a part of it is missing.",
            ),
            vault_shut: gauge(
                "mitschnitt_vault_shut",
                "1 while no recording begins: the disk has no room but the reserve, or fails, or does not answer.",
            ),
            vault_failing: gauge("mitschnitt_vault_failing", "1 from a failed write or sync on, until one goes well."),
            spare_failing: gauge(
                "mitschnitt_vault_spare_failing",
                "1 from a failed write or sync of the spare disk on, until one goes well, and while it is missing.",
            ),
            spare_free: gauge("mitschnitt_vault_spare_free_bytes", "The same of the spare disk, where there is one."),
            recordings_moved: counter(
                "mitschnitt_vault_recordings_moved_total",
                "Recordings that the disk could not write or make durable, and that went on on the spare one.",
            ),
            vault_free: gauge("mitschnitt_vault_free_bytes", "What recordings may still take of the disk, the reserve included."),
            recordings_salvaged: counter(
                "mitschnitt_vault_recordings_salvaged_total",
                "Recordings that an earlier run left without their end mark, and that this one has closed and signed.",
            ),
            recordings_unsigned: counter(
                "mitschnitt_vault_recordings_unsigned_total",
                "Recordings whose end the token with the node's key has not signed in time; they stay torn until it does.",
            ),
            retention_overdue: gauge(
                "mitschnitt_retention_overdue",
                "Recordings that are there although their longest time is over, or consent to them was withdrawn and they are to be shredded: held, being made, or they could not be erased.",
            ),
            retention_erased: counters(
                "mitschnitt_retention_erased_total",
                "Recordings that were erased without anybody having asked for it, by cause: longest, quota, withdrawn.",
                &["cause"],
            ),
            retention_failures: counter(
                "mitschnitt_retention_failures_total",
                "Times that a recording whose time is over could not be erased; it is tried again.",
            ),
            retention_clock_lag: gauge(
                "mitschnitt_retention_clock_lag_seconds",
                "How far the clock that recordings are erased by is behind the wall clock, which has leapt or was off.",
            ),
            quota: gauges("mitschnitt_quota_bytes", "What the recordings of a policy may take together.", &["policy"]),
            quota_used: gauges("mitschnitt_quota_used_bytes", "What the recordings of a policy with a quota take.", &["policy"]),
            quota_barred: gauges(
                "mitschnitt_quota_barred_bytes",
                "What of that may not be erased: locked, held, or being made.",
                &["policy"],
            ),
            quota_full: gauges(
                "mitschnitt_quota_full",
                "1 while no recording of a policy begins, because all that may be erased is not enough for its quota.",
                &["policy"],
            ),
            chunks_sealed: counter("mitschnitt_vault_chunks_sealed_total", "Chunks sealed and written."),
            seal_latency,
            disk_queue: gauge("mitschnitt_vault_queue_chunks", "Work that waits for the disk."),
            ledger_queue: gauge("mitschnitt_ledger_queue_rows", "Rows that wait for the ledger."),
            file_errors: counter("mitschnitt_vault_file_errors_total", "Errors of the recordings' files and folders."),
            ledger_rows: counter(
                "mitschnitt_ledger_rows_total",
                "Rows that were written into the ledger, each change of a call one.",
            ),
            ledger_errors: counter("mitschnitt_ledger_errors_total", "Rows that the ledger could not take."),
            ledger_head: gauge(
                "mitschnitt_ledger_head_seq",
                "The number of the last event of the ledger's chain that the node has signed.",
            ),
            timestamps: counter("mitschnitt_timestamps_total", "Timestamps that an authority has given."),
            timestamp_failures: counter(
                "mitschnitt_timestamps_failures_total",
                "Times that an authority was asked for a timestamp and gave none.",
            ),
            timestamps_waiting: gauge("mitschnitt_timestamps_waiting", "Heads and recordings that wait for a timestamp."),
            review_due: gauges(
                "mitschnitt_policy_review_due_seconds",
                "Seconds until a policy is to be reviewed (review_by), by policy; below 0 since it was to be.",
                &["policy"],
            ),
            hook_answers: counters(
                "mitschnitt_hook_answers_total",
                "What the web hook has said of calls: allow, ask or deny, and silent where it has said nothing in time.",
                &["answer"],
            ),
            hook_seconds,
            timestamps_given_up: counter(
                "mitschnitt_timestamps_given_up_total",
                "Heads and recordings that get no timestamp of their own, because too many waited.",
            ),
            glass_broken: counter(
                "mitschnitt_glass_broken_total",
                "Deeds that a role forbids, done all the same with --break-glass: as many as the ledger has.",
            ),
            access_denied: counter(
                "mitschnitt_access_denied_total",
                "Deeds that were denied for want of a role: as many as the ledger has.",
            ),
            ledger_chain_broken: gauge(
                "mitschnitt_ledger_chain_broken",
                "Places at which the ledger's chain did not hold when it was looked through at the start.",
            ),
            registry,
        }
    }

    /// Takes over how good what a closed bridge carried was.
    pub(super) fn add_bridge(&self, tallies: &BridgeTallies) {
        for (leg, quality) in Leg::BOTH.into_iter().zip(&tallies.quality) {
            let label = [leg.as_str()];
            let [pbx, trunk] = &tallies.quality;
            let other = if leg == Leg::Pbx { trunk } else { pbx };
            for (histogram, value) in [
                (&self.loss, quality.loss()),
                (&self.jitter, quality.jitter.map(|jitter| jitter.as_secs_f64())),
                (&self.mos, quality.mos()),
            ] {
                value.into_iter().for_each(|value| histogram.with_label_values(&label).observe(value));
            }
            self.one_way.with_label_values(&label).inc_by(quality.is_one_way(other).into());
        }
    }

    /// Takes over what a media thread counted.
    pub(super) fn add_lane(&self, tallies: &lane::Tallies, receive_errors: u64) {
        let &lane::Tallies {
            received,
            received_bytes,
            forwarded,
            announced,
            send_errors,
            recorded,
            gaps,
            strangers,
            refused,
            not_sealed,
            replaced,
            held,
            withheld,
        } = tallies;
        for (counter, count) in [
            (&self.rtp_received, received),
            (&self.rtp_received_bytes, received_bytes),
            (&self.rtp_forwarded, forwarded),
            (&self.rtp_announced, announced),
            (&self.rtp_send_errors, send_errors),
            (&self.rtp_receive_errors, receive_errors),
            (&self.rtp_recorded, recorded),
            (&self.recording_gaps, gaps),
            (&self.rtp_strangers, strangers),
            (&self.rtp_replaced, replaced),
            (&self.rtp_held, held),
            (&self.rtp_withheld, withheld),
        ] {
            if count != 0 {
                counter.inc_by(count);
            }
        }
        for (why, count) in Refused::ALL.into_iter().zip(refused).filter(|&(_, count)| count != 0) {
            self.srtp_refused.with_label_values(&[why.as_str()]).inc_by(count);
        }
        for (why, count) in NotSealed::ALL.into_iter().zip(not_sealed).filter(|&(_, count)| count != 0) {
            self.srtp_not_sealed.with_label_values(&[why.as_str()]).inc_by(count);
        }
    }

    /// Returns all metrics in Prometheus's text format.
    pub(super) fn text(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics_not_encoded");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_name_of_its_own_and_help() {
        let metrics = Metrics::new();
        metrics.calls_ended.with_label_values(&["recorded"]).inc();

        let text = metrics.text();

        assert!(text.contains("# HELP mitschnitt_media_strangers_packets_total Media packets from addresses"));
        assert!(text.contains("mitschnitt_call_ended_total{reason=\"recorded\"} 1"));
    }
}
