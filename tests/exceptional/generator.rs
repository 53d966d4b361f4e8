//! Exceptional elements after the taxonomy of PROTOS c07-sip: one element of a good message, replaced by what no grammar allows, or by
//! what it allows and nobody sends. The same seed gives the same cases.

/// A message in pieces: what stands between the elements, and the elements themselves.
pub(crate) type Pieces = Vec<Piece>;

/// One piece of a message.
#[derive(Clone)]
pub(crate) struct Piece {
    /// The element's name; none where the piece only stands between two.
    pub(crate) element: Option<&'static str>,
    /// What stands there in a good message.
    pub(crate) good: Vec<u8>,
}

/// One case: which element, by what it is replaced, and the message.
pub(crate) struct Case {
    pub(crate) element: &'static str,
    pub(crate) value: Vec<u8>,
    pub(crate) message: Vec<u8>,
}

/// Lengths up to 2^17, around the sizes that buffers have.
const LADDER: [usize; 22] =
    [1, 2, 4, 8, 16, 32, 63, 64, 128, 255, 256, 512, 1023, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_535, 65_536, 131_072];

/// What is repeated up to such a length.
const REPEATED: [&[u8]; 14] =
    [b"a", b" ", b"\0", b"@", b":", b"/", b"%n%s", b"\xff", "\u{e9}".as_bytes(), b",", b";", b"9", b"\r\n ", b"<"];

/// What stands in an element's place as it is.
const FIXED: [&[u8]; 59] = [
    b"",
    // Numbers.
    b"-1",
    b"0",
    b"00000000000000000000001",
    b"255",
    b"256",
    b"65535",
    b"65536",
    b"2147483647",
    b"2147483648",
    b"4294967295",
    b"4294967296",
    b"4294967297",
    b"18446744073709551615",
    b"18446744073709551616",
    b"36893488147419103232",
    b"1e3",
    b"0x10",
    b"+5",
    b"3.5",
    b"5 5",
    // Addresses.
    b"0.0.0.0",
    b"255.255.255.255",
    b"224.0.0.1",
    b"256.1.1.1",
    b"1.2.3",
    b"1.2.3.4.5",
    b"[::]",
    b"[::1",
    b"2001:db8::::1",
    b"[2001:db8:::192.0.2.1]",
    // Bytes that are no text, and text that is no ASCII.
    b"\xc3",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xef\xbb\xbf",
    "\u{202e}\u{2028}".as_bytes(),
    b"\x1b[2J\x07\x7f",
    // Separators.
    b";",
    b",",
    b"<>",
    b"\"",
    b"\\",
    b"\"\\",
    b";;,;,,",
    b"()",
    b"?a=b",
    b"&=",
    b"%",
    b"%00",
    b"%zz",
    // Line breaks.
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n \r\n",
    b"a\r\nCall-ID: smuggled",
    b"a\r\n\r\nBYE sip:smuggled@h.test SIP/2.0\r\n\r\n",
    b"\n\n",
];

/// Returns all cases for these messages: each element with every fixed exception, with each length of the ladder, and with what chance
/// makes of the good value.
pub(crate) fn cases(template: &Pieces, seed: u64) -> Vec<Case> {
    let mut chance = Chance(seed | 1);
    let elements: Vec<_> = template.iter().filter_map(|piece| Some((piece.element?, piece.good.clone()))).collect();
    let mut cases = Vec::new();
    for (element, good) in elements {
        let mut add = |value: Vec<u8>| cases.push(Case { element, message: with(template, element, &value), value });
        FIXED.into_iter().for_each(|value| add(value.to_vec()));
        for length in LADDER {
            let piece = REPEATED[chance.below(REPEATED.len())];
            add(piece.iter().copied().cycle().take(length).collect());
            // Behind the good value, so that what is read first is right.
            let piece = REPEATED[chance.below(REPEATED.len())];
            add(good.iter().copied().chain(piece.iter().copied().cycle().take(length)).collect());
        }
        add([b" ", &good[..], b" "].concat());
        add([b"\t\r\n ", &good[..]].concat());
        add([&good[..], b",", &good].concat());
        for _ in 0..6 {
            let mut value = good.clone();
            for _ in 0..=chance.below(4) {
                let byte = u8::try_from(chance.below(256)).expect("below 256");
                let at = chance.below(value.len() + 1);
                if chance.below(2) == 0 || at == value.len() { value.insert(at, byte) } else { value[at] = byte }
            }
            add(value);
        }
    }
    cases
}

/// The message with another value of one element; its `Content-Length` is right unless it is that element.
pub(crate) fn with(template: &Pieces, element: &str, value: &[u8]) -> Vec<u8> {
    let piece = |piece: &Piece| if piece.element == Some(element) { value.to_vec() } else { piece.good.clone() };
    let body_at = template.iter().position(|piece| piece.element == Some("empty line")).map_or(template.len(), |at| at + 1);
    let body: Vec<u8> = template[body_at..].iter().flat_map(piece).collect();
    let head = template[..body_at].iter().flat_map(|part| match part.element {
        Some("Content-Length") if element != "Content-Length" => body.len().to_string().into_bytes(),
        _ => piece(part),
    });
    head.chain(body.iter().copied()).collect()
}

/// Reads a template in which each element stands as `{name|good value}`.
pub(crate) fn pieces(text: &'static str) -> Pieces {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}').expect("what opens closes");
        let (name, good) = inside.split_once('|').expect("a name and a value");
        pieces.push(Piece { element: None, good: before.as_bytes().to_vec() });
        pieces.push(Piece { element: Some(name), good: good.as_bytes().to_vec() });
        rest = after;
    }
    pieces.push(Piece { element: None, good: rest.as_bytes().to_vec() });
    pieces
}

/// Xorshift: the same seed gives the same numbers.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound.max(1)
    }
}
