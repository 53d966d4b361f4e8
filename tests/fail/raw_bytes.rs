//! The recorder takes covered packets, not bytes.

use mitschnitt::vault::Recorder;

fn append(recorder: &mut Recorder, packet: &[u8]) {
    let _ = recorder.append(packet);
}

fn main() {
    let _ = append;
}
