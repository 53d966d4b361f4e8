//! What changes about calls, for those who listen: told as it happens, to each through a queue of its own length, and to nobody twice.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::timeout;

use crate::call::{Live, Story};
use crate::control::api::{CallEvent, CallState, missed};
use crate::control::masked;
use crate::ids::CallId;
use crate::limits::{API_EVENTS, API_PATIENCE};
use crate::node::clock::{self, Clock};
use crate::node::setup::live;

/// Where events of calls come from, for the API.
pub(in crate::node) type Events = broadcast::Sender<Arc<CallEvent>>;

/// The calls' side: notices which were touched, and tells what has become of them.
pub(in crate::node) struct Feed {
    events: Events,
    touched: BTreeSet<CallId>,
    /// What was told last of calls that are.
    told: BTreeMap<CallId, (CallState, Option<String>)>,
}

impl Feed {
    /// Makes one to which nobody listens yet.
    pub(in crate::node) fn new() -> Self {
        let (events, _) = broadcast::channel(API_EVENTS);
        Self { events, touched: BTreeSet::new(), told: BTreeMap::new() }
    }

    /// Returns what is listened at.
    pub(in crate::node) fn events(&self) -> Events {
        self.events.clone()
    }

    /// Something was done for a call: it may be in another state.
    pub(in crate::node) fn touch(&mut self, call: CallId) {
        if self.events.receiver_count() > 0 {
            self.touched.insert(call);
        } else if !self.told.is_empty() {
            self.told.clear();
        }
    }

    /// Tells of the calls that were touched.
    pub(in crate::node) fn tell(&mut self, of: impl Fn(CallId) -> Option<Live>, clock: Clock) {
        while let Some(call) = self.touched.pop_first() {
            let Some(call) = of(call) else { continue };
            let at = clock::wall();
            let event = CallEvent::of(live(&call, false, clock.now(), at), at.to_string());
            let news = (event.state, event.recording.clone());
            if self.told.get(&call.call) != Some(&news) {
                self.told.insert(call.call, news);
                self.send(event);
            }
        }
    }

    /// Tells that a call is over.
    pub(in crate::node) fn ended(&mut self, story: &Story) {
        if story.ended.is_none() {
            return;
        }
        self.touched.remove(&story.call);
        self.told.remove(&story.call);
        if self.events.receiver_count() == 0 {
            return;
        }
        self.send(CallEvent {
            call: story.call.to_string(),
            at: clock::wall().to_string(),
            state: CallState::Ended,
            reason: story.reason.to_string(),
            direction: story.direction.to_string(),
            trunk: story.trunk.to_string(),
            recording: story.recording.map(|id| id.to_string()),
            calling: masked(&story.parties.calling),
            called: masked(&story.parties.called),
        });
    }

    fn send(&self, event: CallEvent) {
        // Whoever listened has gone meanwhile.
        drop(self.events.send(Arc::new(event)));
    }
}

/// How often somebody who hears of no call hears that the connection is there: below the minute after which proxies on the way give it up.
const PULSE: Duration = Duration::from_secs(15);

/// Passes events on to a listener until it goes, or takes nothing for too long.
pub(super) async fn pass_on(first: Vec<CallEvent>, mut events: broadcast::Receiver<Arc<CallEvent>>, to: mpsc::Sender<Bytes>) {
    let send = async |frame: String| timeout(API_PATIENCE, to.send(Bytes::from(frame))).await.is_ok_and(|sent| sent.is_ok());
    for event in first {
        if !send(event.frame()).await {
            return;
        }
    }
    loop {
        let frame = match timeout(PULSE, events.recv()).await {
            Ok(Ok(event)) => event.frame(),
            Ok(Err(RecvError::Lagged(count))) => missed(count),
            Ok(Err(RecvError::Closed)) => return,
            Err(_) => ":\n\n".into(),
        };
        if !send(frame).await {
            return;
        }
    }
}

/// A body that comes piece by piece.
pub(super) struct Pieces(pub(super) mpsc::Receiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
