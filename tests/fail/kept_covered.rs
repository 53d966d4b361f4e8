//! A covered packet cannot be put by for later: it borrows the receive buffer.

use mitschnitt::consent::Covered;

fn put_by(cover: fn(&[u8]) -> Option<Covered<'_>>) {
    let mut kept = Vec::new();
    {
        let packet = [0x80; 172];
        kept.extend(cover(&packet));
    }
    drop(kept);
}

fn receive_over_it(cover: fn(&[u8]) -> Option<Covered<'_>>) -> u8 {
    let mut buffer = [0x80; 172];
    let covered = cover(&buffer);
    buffer[0] = 0;
    drop(covered);
    buffer[0]
}

fn main() {
    let _ = (put_by, receive_over_it);
}
