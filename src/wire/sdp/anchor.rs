//! Anchoring: a description that says that the media is here, and is in all else as it came.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::Sdp;
use super::description::{Connection, Line, What, words};
use super::profile::is_agreed_here;

/// Where the peer shall send one media: ports of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Here {
    /// The address.
    pub ip: IpAddr,
    /// The port of the `m=` line.
    pub rtp: u16,
    /// The port for `a=rtcp`, if the description has such a line. Where it has none, receivers take the next port above `rtp`, so this
    /// should be that.
    pub rtcp: u16,
}

impl Sdp {
    /// Returns the description with each media at its place `here`, in the order of the `m=` lines.
    ///
    /// The port of the `m=` line, the address in `c=` and `a=rtcp` are replaced; every other byte stays. A media with `None`, with port 0,
    /// or that is not anchorable, stays as it is. An address of zeroes, by which RFC 2543 puts a call on hold, stays one, of the place's
    /// version of IP where all media that rely on it have that. Where the session's `c=` line cannot serve all media that relied on it,
    /// those that it no longer fits get one of their own.
    #[must_use]
    pub fn anchored(&self, here: &[Option<Here>]) -> Vec<u8> {
        let place = |media: usize| {
            let here = here.get(media).copied().flatten();
            here.filter(|_| self.media().get(media).is_some_and(|media| media.port != 0 && media.anchorable))
        };
        let own_connection =
            |media: usize| self.lines.iter().any(|line| line.what == What::Connection && line.media == Some(media));
        let session = self.lines.iter().find(|line| line.what == What::Connection && line.media.is_none());
        let relying = || (0..self.media().len()).filter(|&media| !own_connection(media));
        let session_ip = relying().find_map(place).map(|here| here.ip);

        let mut out = Vec::with_capacity(self.body.len() + 128);
        let mut copied = 0;
        let mut owed: Option<Vec<u8>> = None;
        for line in &self.lines {
            // A line that is owed to the media stands where RFC 8866 §9 wants it: below m= and i=.
            if line.what != What::Title
                && let Some(connection) = owed.take()
            {
                out.extend_from_slice(self.body.get(copied..line.start).unwrap_or_default());
                copied = line.start;
                out.extend_from_slice(&connection);
                out.extend_from_slice(self.line_end());
            }
            let here = line.media.and_then(place);
            match (line.what, line.media) {
                (What::Connection, None) => {
                    // An address of zeroes may be of another version only if all that rely on it are moved to that.
                    let turns =
                        |ip: IpAddr| relying().all(|media| place(media).is_some_and(|here| here.ip.is_ipv4() == ip.is_ipv4()));
                    let new = session_ip.and_then(|ip| self.connection(line, ip, turns(ip)));
                    self.replace(&mut out, &mut copied, line, new);
                }
                (What::Connection, Some(_)) => {
                    self.replace(&mut out, &mut copied, line, here.and_then(|here| self.connection(line, here.ip, true)));
                }
                (What::Media, Some(media)) => {
                    self.replace(&mut out, &mut copied, line, here.and_then(|here| self.port(line, here)));
                    if !own_connection(media) {
                        owed = session.and_then(|session| self.owed(session, media, here, session_ip));
                    }
                }
                (What::Rtcp, _) => self.replace_rtcp(&mut out, &mut copied, line, here),
                (What::Media | What::Title | What::Other, _) => {}
            }
        }
        out.extend_from_slice(self.body.get(copied..).unwrap_or_default());
        if let Some(connection) = owed {
            match out.last() {
                Some(b'\n') => {}
                // The last line was cut within its end.
                Some(b'\r') => out.push(b'\n'),
                Some(_) | None => out.extend_from_slice(self.line_end()),
            }
            out.extend_from_slice(&connection);
            out.extend_from_slice(self.line_end());
        }
        out
    }

    /// Returns the description with every media rejected: port 0 (RFC 3264 §6), without what it says about keys, which nobody is to use,
    /// and every other byte as it came.
    #[must_use]
    pub fn rejected(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len());
        let mut copied = 0;
        let nowhere = Here { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), rtp: 0, rtcp: 0 };
        for line in &self.lines {
            if line.what == What::Media {
                self.replace(&mut out, &mut copied, line, self.port(line, nowhere));
            } else if is_agreed_here(self.text(line)) {
                self.leave_out(&mut out, &mut copied, line);
            }
        }
        out.extend_from_slice(self.body.get(copied..).unwrap_or_default());
        out
    }

    /// Returns the `c=` line of its own that a media needs once the session's says `session_ip`.
    fn owed(&self, session: &Line, media: usize, here: Option<Here>, session_ip: Option<IpAddr>) -> Option<Vec<u8>> {
        let session_ip = session_ip?;
        let text = self.text(session);
        let connection = Connection::parse(text, 2).filter(|connection| !connection.is_zero())?;
        match here {
            Some(here) if here.ip == session_ip => None,
            Some(here) => Some([text.get(..connection.place.start)?, address(here.ip).as_bytes()].concat()),
            // Not ours to relay, so it must go on leading where it led.
            None => self.media().get(media).filter(|media| media.port != 0).map(|_| text.to_vec()),
        }
    }

    /// Returns the place of the address in a `c=` line, and the new one. `turns` says whether zeroes may become those of the other version.
    fn connection(&self, line: &Line, ip: IpAddr, turns: bool) -> Option<(Range<usize>, String)> {
        let connection = Connection::parse(self.text(line), 2)?;
        if !connection.is_zero() {
            return Some((connection.place, address(ip)));
        }
        // On hold by an address of zeroes, and it must be of a version that the reader knows.
        let nowhere = if ip.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let is_another = connection.addr.is_some_and(|addr| addr.is_ipv4() != ip.is_ipv4());
        (is_another && turns).then(|| (connection.place, address(nowhere)))
    }

    /// Returns the place of the port in an `m=` line, and the new one.
    fn port(&self, line: &Line, here: Here) -> Option<(Range<usize>, String)> {
        let text = self.text(line);
        let place = words(text.get(2..)?).nth(1)?;
        let (start, end) = (place.start + 2, place.end + 2);
        let digits = text.get(start..end)?.iter().take_while(|b| b.is_ascii_digit()).count();
        Some((start..start + digits, here.rtp.to_string()))
    }

    fn replace_rtcp(&self, out: &mut Vec<u8>, copied: &mut usize, line: &Line, here: Option<Here>) {
        let text = self.text(line);
        let after_colon = memchr::memchr(b':', text).map_or(text.len(), |at| at + 1);
        let Some(port) = words(text.get(after_colon..).unwrap_or_default()).next() else { return };
        let port = after_colon + port.start..after_colon + port.end;
        let Some(here) = here else { return };
        self.replace(out, copied, line, Some((port.clone(), here.rtcp.to_string())));
        let connection = Connection::parse(text, port.end).filter(|connection| !connection.is_zero());
        self.replace(out, copied, line, connection.map(|connection| (connection.place, address(here.ip))));
    }

    pub(super) fn replace(&self, out: &mut Vec<u8>, copied: &mut usize, line: &Line, new: Option<(Range<usize>, String)>) {
        if let Some((place, new)) = new {
            out.extend_from_slice(self.body.get(*copied..line.start + place.start).unwrap_or_default());
            out.extend_from_slice(new.as_bytes());
            *copied = line.start + place.end;
        }
    }

    pub(super) fn text(&self, line: &Line) -> &[u8] {
        self.body.get(line.start..line.end).unwrap_or_default()
    }

    /// Returns the line end that this description uses.
    pub(super) fn line_end(&self) -> &'static [u8] {
        match memchr::memchr(b'\n', &self.body) {
            Some(at) if at == 0 || self.body.get(at - 1) != Some(&b'\r') => b"\n",
            Some(_) | None => b"\r\n",
        }
    }
}

fn address(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("IP4 {ip}"),
        IpAddr::V6(ip) => format!("IP6 {ip}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_ports_change() {
        let came = "v=0\r\no=- 5 7 IN IP4 198.51.100.1\r\ns= \r\nc=IN  IP4 198.51.100.1 \r\nt=0 0\r\nX unknown\r\n\r\na=sendonly\r\n\
                    m=audio  49170   RTP/AVP 0 101\r\na=rtcp:49171 IN IP4 198.51.100.9\r\na=rtcp-mux\r\nz=\u{fc}\r\n\
                    m=image 4000 udptl t38\r\nc=IN IP4 198.51.100.2\r\na=rtcp:5";

        let out = anchored(came, &[Some(HERE), Some(Here { rtp: 30_002, ..HERE })]);

        let expected = came
            .replace("c=IN  IP4 198.51.100.1 ", "c=IN  IP4 192.0.2.1 ")
            .replace("49170", "30000")
            .replace("rtcp:49171 IN IP4 198.51.100.9", "rtcp:30001 IN IP4 192.0.2.1")
            .replace("4000", "30002")
            .replace("c=IN IP4 198.51.100.2", "c=IN IP4 192.0.2.1")
            .replace("rtcp:5", "rtcp:30001");
        assert_eq!(out, expected);
    }

    #[test]
    fn a_rejected_description_has_no_port_and_is_else_as_it_came() {
        let came = "v=0\r\nc=IN IP4 host.example\r\nm=audio  49170/2   RTP/AVP 0 101\r\na=rtcp:9\r\nm=image 4000 udptl t38\r\nm=video 0 RTP/AVP 31";

        let out = String::from_utf8(Sdp::parse(came.as_bytes()).unwrap().rejected()).unwrap();

        assert_eq!(out, came.replace("49170", "0").replace("4000", "0"));
    }

    #[test]
    fn nothing_is_anchored_where_nothing_is_given() {
        let came = "v=0\nc=IN IP4 198.51.100.1\nm=audio 4 RTP/AVP 0\n";

        assert_eq!(anchored(came, &[None]), came);
        assert_eq!(anchored(came, &[]), came);
    }

    #[test]
    fn hold_by_an_address_of_zeroes_stays_to_be_seen() {
        let came = "v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4 RTP/AVP 0\r\na=rtcp:5 IN IP4 0.0.0.0\r\n";

        assert_eq!(anchored(came, &[Some(HERE)]), came.replace("audio 4", "audio 30000").replace("rtcp:5", "rtcp:30001"));
    }

    #[test]
    fn an_address_of_zeroes_is_of_the_version_that_its_reader_knows() {
        let came = "v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4 RTP/AVP 0\r\n";
        let six = Here { ip: "2001:db8::1".parse().unwrap(), ..HERE };

        assert_eq!(anchored(came, &[Some(six)]), came.replace("IP4 0.0.0.0", "IP6 ::").replace("audio 4", "audio 30000"));
    }

    #[test]
    fn a_media_that_was_refused_stays_refused() {
        let came = "v=0\r\nc=IN IP4 198.51.100.1\r\nm=audio 0 RTP/AVP 0\r\n";

        assert_eq!(anchored(came, &[Some(HERE)]), came);
    }

    #[test]
    fn a_media_that_is_not_relayed_leads_where_it_led() {
        let came = "v=0\nc=IN IP4 198.51.100.1\nm=audio 4 RTP/AVP 0\nm=video 6 RTP/AVP 31\ni=title\nb=AS:1\nm=text 0 RTP/AVP 99";

        let out = anchored(came, &[Some(HERE), None, None]);

        assert_eq!(
            out,
            "v=0\nc=IN IP4 192.0.2.1\nm=audio 30000 RTP/AVP 0\nm=video 6 RTP/AVP 31\ni=title\nc=IN IP4 198.51.100.1\nb=AS:1\nm=text 0 RTP/AVP 99"
        );
    }

    #[test]
    fn media_at_two_addresses_of_ours_have_each_their_own() {
        let came = "v=0\r\nc=IN IP4 198.51.100.1\r\nm=audio 4 RTP/AVP 0\r\nm=video 6 RTP/AVP 31";
        let six = Here { ip: "2001:db8::1".parse().unwrap(), ..HERE };

        let out = anchored(came, &[Some(HERE), Some(six)]);

        assert_eq!(
            out,
            "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 30000 RTP/AVP 0\r\nm=video 30000 RTP/AVP 31\r\nc=IN IP6 2001:db8::1\r\n"
        );
    }

    #[test]
    fn a_last_line_that_was_cut_within_its_end_gets_the_rest_of_it() {
        let came = "v=0\r\nc=IN IP4 198.51.100.1\r\nm=audio 4 RTP/AVP 0\r\nm=video 6 RTP/AVP 31\r\ni=title\r";

        let out = anchored(came, &[Some(HERE), None]);

        assert!(out.ends_with("\r\ni=title\r\nc=IN IP4 198.51.100.1\r\n"), "{out:?}");
    }

    #[test]
    fn an_ipv6_address_is_said_to_be_one() {
        let came = "v=0\r\nc=IN IP4 198.51.100.1\r\nm=audio 4 RTP/AVP 0\r\n";
        let six = Here { ip: "2001:db8::1".parse().unwrap(), ..HERE };

        assert!(anchored(came, &[Some(six)]).contains("c=IN IP6 2001:db8::1\r\n"));
    }

    const HERE: Here = Here { ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), rtp: 30_000, rtcp: 30_001 };

    fn anchored(came: &str, here: &[Option<Here>]) -> String {
        String::from_utf8(Sdp::parse(came.as_bytes()).unwrap().anchored(here)).unwrap()
    }
}
