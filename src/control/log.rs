//! What the log says of a call: how far it came, by its own number and never by anybody's.

use std::net::SocketAddr;

use crate::call::{Silence, Story, WhenDead};
use crate::ids::{CallId, TrunkName};
use crate::sabotage;

/// Logs a call's story.
pub fn log_story(story: &Story) {
    let Story { call, direction, trunk, reason, .. } = story;
    let policy = story.policy.as_deref().unwrap_or("none");
    let recording = story.recording.map(|id| id.to_string()).unwrap_or_default();
    if sabotage::is("log-a-number") {
        tracing::info!(%call, calling = story.parties.calling.reveal(), "call");
    }
    if story.ended.is_none() {
        tracing::info!(%call, %direction, %trunk, policy, %reason, recording, "call");
    } else {
        tracing::info!(%call, %direction, %trunk, policy, %reason, recording, "call_ended");
    }
}

/// Logs that an address of a peer is up, or down, since now.
pub fn log_reached(trunk: Option<&TrunkName>, address: SocketAddr, is_up: bool) {
    let peer = trunk.map_or("pbx", TrunkName::as_str);
    if is_up {
        tracing::info!(peer, %address, "peer_up");
    } else {
        tracing::warn!(peer, %address, "peer_down");
    }
}

/// Logs that nothing comes from the parties of a call that is up.
pub fn log_silence(call: CallId, who: Silence, then: WhenDead) {
    let is_ended = then == WhenDead::End;
    match who {
        Silence::Both => tracing::info!(%call, is_ended, "media_dead"),
        Silence::One(leg) => tracing::info!(%call, %leg, "one_way"),
    }
}
