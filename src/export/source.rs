//! Where records come from: each is lent, so that none is copied on its way to a file.

use std::io::{self, Read};
use std::ops::ControlFlow;

use crate::export::{ExportError, Span};
use crate::vault::{OpenError, Record, Recording};

/// The records of a recording, in order. Whatever gives them one after the other is one, and so is who only lends them.
pub trait Source {
    /// What its reader says where it cannot be read to its end.
    type Error;

    /// Lends each record to `take`.
    ///
    /// # Errors
    /// What the reader says, or `take`; nothing more is read then.
    fn each(self, take: impl FnMut(&Record<&[u8]>) -> io::Result<()>) -> Result<(), ExportError<Self::Error>>;
}

impl<P: AsRef<[u8]>, E, I: IntoIterator<Item = Result<Record<P>, E>>> Source for I {
    type Error = E;

    fn each(self, mut take: impl FnMut(&Record<&[u8]>) -> io::Result<()>) -> Result<(), ExportError<E>> {
        self.into_iter().try_for_each(|record| take(&record.map_err(ExportError::Recording)?.lent()).map_err(ExportError::Disk))
    }
}

/// All of a recording. What is torn ends with an error, so that nobody takes a cut for the end unawares.
impl<R: Read> Source for &mut Recording<R> {
    type Error = OpenError;

    fn each(self, mut take: impl FnMut(&Record<&[u8]>) -> io::Result<()>) -> Result<(), ExportError<OpenError>> {
        let lent = self.lend(|record| match take(record) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        });
        match lent {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(ExportError::Disk(error)),
            Err(error) => Err(ExportError::Recording(error)),
        }
    }
}

/// Of a source, the packets that came within a span, and what is missing there; the evidence, and all that is said of payload types.
#[derive(Debug)]
pub struct Part<S> {
    span: Option<Span>,
    source: S,
}

impl<S: Source> Part<S> {
    /// Takes that part; without a span, all of it.
    pub const fn of(span: Option<Span>, source: S) -> Self {
        Self { span, source }
    }
}

impl<S: Source> Source for Part<S> {
    type Error = S::Error;

    fn each(self, mut take: impl FnMut(&Record<&[u8]>) -> io::Result<()>) -> Result<(), ExportError<S::Error>> {
        let Self { span, source } = self;
        source.each(|record| {
            let is_wanted = span.is_none_or(|span| match record {
                Record::Rtp { came, .. } => span.has(*came),
                Record::Gap(gap) => span.touches(gap.from, gap.to),
                // When the recording ended, and how good all of it was, says nothing of the span.
                Record::End(_) | Record::Quality(_) => false,
                Record::Evidence(_) | Record::Format(_) | Record::Other { .. } => true,
            });
            if is_wanted { take(record) } else { Ok(()) }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use super::*;
    use crate::export::fixture::{phone, records, voice};
    use crate::ids::Leg;
    use crate::vault::{EndReason, Gap, GapReason, LegTotals, Totals};

    #[test]
    fn of_a_part_only_what_came_within_it_and_what_is_missing_there_is_given() {
        let gap = |from, to| {
            let [from, to] = [from, to].map(Duration::from_millis);
            Record::Gap(Gap { leg: None, reason: GapReason::Paused, from, to, packets: 0 })
        };
        let mut records = records(phone(Leg::Pbx, 0, &voice(1, 100)));
        records.insert(0, Record::Evidence(b"{}".to_vec()));
        records.extend([gap(0, 500), gap(0, 501), gap(999, 2000), gap(1000, 2000), gap(700, 700), gap(1000, 1000)]);
        let (reason, ended) = (EndReason::Stopped, Duration::from_secs(2));
        records.push(Record::End(Totals { reason, ended, legs: [LegTotals::default(); 2], gaps: 6, lost: 0 }));
        let span = Span { from: Duration::from_millis(500), to: Duration::from_secs(1) };

        let mut given = Vec::new();
        let all = records.iter().cloned().map(Ok::<_, Infallible>);
        Part::of(Some(span), all)
            .each(|record| {
                given.push(record.clone().into_owned());
                Ok(())
            })
            .unwrap();

        let packets = given.iter().filter_map(|record| match record {
            Record::Rtp { came, .. } => Some(came.as_millis()),
            Record::Evidence(_)
            | Record::Format(_)
            | Record::Gap(_)
            | Record::Quality(_)
            | Record::End(_)
            | Record::Other { .. } => None,
        });
        assert_eq!(packets.collect::<Vec<_>>(), (500..1000).step_by(20).collect::<Vec<_>>());
        let gaps: Vec<_> = given.iter().filter(|record| matches!(record, Record::Gap(_))).cloned().collect();
        assert_eq!(gaps, [gap(0, 501), gap(999, 2000), gap(700, 700)]);
        assert_eq!(given.len(), 1 + 25 + 3);
    }
}
