//! The running proxy: one thread for signalling, one a core for media, one for the disk, one for the ledger; joined by values.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::call::{self, Advice, Consulting, Input, Kept, KeySource, Live, Output, Silence, Story, Table, Watermark};
use crate::catalogue::{KeptCall, Opening};
use crate::control::api::Clerk;
use crate::control::{Reply, Request, log_reached, log_silence, log_story, row};
use crate::ids::{CallId, Leg, TrunkName};
use crate::keyfolder::shares::Shares;
use crate::keyfolder::tpm::Place;
use crate::lane::{Down as ToLane, Up};
use crate::limits;
use crate::media::{self, BridgeTallies};
use crate::node::alive::Alive;
use crate::node::api::{self, Asked, Feed};
use crate::node::clock::Clock;
use crate::node::disk;
use crate::node::entropy;
use crate::node::folders::{Folder, Folders};
use crate::node::heads::Stamping;
use crate::node::hook::Asker;
use crate::node::hosts::{self, Located};
use crate::node::lane::{self, Down, Lane};
use crate::node::ledger::{self, Ledger};
use crate::node::load::Watch;
use crate::node::metrics::Metrics;
use crate::node::register;
use crate::node::restored;
use crate::node::retention::{self, Keeper, Known};
use crate::node::room;
use crate::node::salvage;
use crate::node::scrape;
use crate::node::setup::{self, Asks, Setup};
use crate::node::sockets::Sockets;
use crate::node::stamper;
use crate::node::store;
use crate::node::wires::{Arrived, Knock, Names, Outcome, Wires, address_remedy};
use crate::sip::{End, Flow, Transport};
use crate::time::{Moment, Wall};

/// Runs the proxy until it is told to stop.
///
/// # Errors
/// It cannot start: an address, a key, a file or a folder is not to be had. The text says which, and what to do.
pub(super) fn run(setup: Setup, clerk: Arc<dyn Clerk>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot start: {error}\n  the system gives no epoll or no file descriptor: raise LimitNOFILE= of the service, or `ulimit -Hn`"))?;
    runtime.block_on(serve(setup, clerk))
}

async fn serve(setup: Setup, clerk: Arc<dyn Clerk>) -> Result<(), String> {
    let Setup {
        ends: sip_ends,
        sip_dscp,
        certificates,
        names,
        hosts: named,
        dns,
        emergency,
        unrecorded,
        indexed,
        metrics_listen,
        data,
        spare,
        local_share,
        tpm,
        reserve_percent,
        media,
        ports,
        threads,
        io,
        media_dscp,
        dead,
        peers,
        strangers,
        guarding,
        registering,
        handles,
        policies,
        settings,
        node_key: setup::Signing { recordings: recordings_key, heads: head_key, patient },
        listeners,
        publish_heads_every,
        timestamps,
        hook,
        api: tls,
        reviews,
        witness,
        store,
        rules,
    } = setup;
    raise_file_limit(ports.len() / 2);
    leave_no_core();
    let clock = Clock::start();
    let metrics = Arc::new(Metrics::new());
    // A seed of its own for each use: what a peer sees of one tells it nothing of another.
    let no_randomness = |error| format!("the system gives no randomness: {error}");
    let seed = || entropy::seed().map_err(no_randomness);

    let wires = Wires::open(sip_ends.clone(), sip_dscp, guarding.peer_rate, certificates).await?;
    let (ask, mut asked) = mpsc::channel(16);
    let control = data.join("control.sock");
    let door = api::bind(&control).map_err(|error| {
        format!(
            "cannot make the control socket `{}`: {error}\n  the service's user must be able to write there",
            control.display()
        )
    })?;
    let tls =
        tls.map(|(listen, server, files)| api::listen(listen, server, Some(files))).transpose().map_err(|(listen, error)| {
            format!("cannot listen on tcp {listen} (api.listen): {error}\n  {}", address_remedy(&error))
        })?;
    let scrape = scrape::serve(metrics_listen, Arc::clone(&metrics)).await.map_err(|error| {
        format!("cannot listen on tcp {metrics_listen} (metrics.listen): {error}\n  {}", address_remedy(&error))
    })?;

    let folders = Folders::make(&data, spare.as_deref()).map_err(|error| {
        format!("cannot write below `{}` (data.directory): {error}\n  give the service's user write access to it", data.display())
    })?;
    if local_share {
        for (nth, folder) in (0_u32..).zip(folders.all().map(Folder::keys)) {
            // Two spaces for each.
            let place = tpm.as_ref().map(|place| Place { device: place.device.clone(), index: place.index + 2 * nth });
            Shares::of(&folder).begin(&mut entropy::source(), place.as_ref()).map_err(|fault| {
                format!("keys cannot lie in envelopes in `{}` (data.local_share): {fault}\n  the manual's operating.md says how they are kept", folder.display())
            })?;
        }
    }
    let unread = |error| format!("the ledger cannot be read: {error}");
    let kept = store.kept().map_err(unread)?;
    let (roster, _) = register::of(&store.roster().map_err(unread)?);
    let (ended, mut ends) = mpsc::channel(threads + 2);
    // One at a time is asked for.
    let (order, orders) = mpsc::channel(1);
    let stamping = timestamps.as_ref().map(|wanted| Stamping::new(order, wanted.each_recording));
    let signing = ledger::Signing { key: head_key, settings, publish_every: publish_heads_every, stamping, clock };
    let (ledger, ledger_thread, torn) =
        ledger::start(store, &folders, signing, Arc::clone(&metrics), Alive::new("ledger", ended.clone()))
            .map_err(|error| format!("the ledger cannot be opened: {error}"))?;
    let to_ledger = ledger.clone();
    let stamper = timestamps
        .map(|wanted| tokio::spawn(stamper::stamp(wanted.authority, witness, orders, move |write| to_ledger.send(write))));
    // Bounded by what tells: each recording fails at most once, and has at most one gap of the disk's a minute; and each operator's request
    // has the register read once.
    let (failed, mut failures) = mpsc::unbounded_channel();
    let reread = failed.clone();
    let asker = hook.map(|hook| Asker::new(hook, Arc::clone(&metrics), failed.clone()));
    let salvaging = salvage::start(torn, folders.clone(), patient, ledger.clone(), Arc::clone(&metrics))
        .map_err(|error| format!("the salvage thread cannot start: {error}"))?;
    let unsigned = salvaging.unsigned();
    let quotas: Vec<Arc<str>> = rules.quotas.keys().cloned().collect();
    let store = store::open(&data.join("ledger.db"), Opening::ReadAndLog)
        .map_err(|error| format!("the ledger cannot be opened again: {error}"))?;
    let keeper = Keeper {
        store,
        folders: folders.clone(),
        rules,
        metrics: Arc::clone(&metrics),
        is_salvaged: salvaging.is_through(),
        state: Known::default(),
    };
    let retaining = retention::start(keeper, clock).map_err(|error| format!("the retention thread cannot start: {error}"))?;
    let (room, choice) =
        room::watch(&folders, reserve_percent, &metrics).map_err(|error| format!("the disk cannot be watched: {error}"))?;
    let place = disk::Place { folders, has_shares: local_share, room: choice, node: recordings_key, listeners };
    let to_ledger = ledger.clone();
    let (disk, disk_thread) = disk::start(
        place,
        clock,
        Arc::clone(&metrics),
        move |outcome| {
            let told = match outcome {
                // Nothing of it is lost, and nobody's call need end for it.
                disk::Outcome::Failed { .. } if disk::is_unsigned(&outcome) => None,
                disk::Outcome::Failed { call, left_a_file, .. } => Some(Input::VaultFailed { call, left_a_file }),
                disk::Outcome::Dropping { call, .. } => Some(Input::VaultDrops { call }),
                disk::Outcome::Begun { .. }
                | disk::Outcome::Written { .. }
                | disk::Outcome::Stuck { .. }
                | disk::Outcome::Flowing { .. }
                | disk::Outcome::Moved { .. }
                | disk::Outcome::Parted { .. }
                | disk::Outcome::Closed { .. }
                | disk::Outcome::Sealed { .. }
                | disk::Outcome::SyncFailed { .. } => None,
            };
            if told.is_some_and(|told| failed.send(told).is_err()) {
                tracing::debug!("signalling_is_gone");
            }
            // Before it is salvaged: that is the row's next state.
            to_ledger.outcome(&outcome);
            if let disk::Outcome::Failed { recording, .. } = outcome
                && disk::is_unsigned(&outcome)
            {
                unsigned.give(recording);
            }
        },
        Alive::new("disk", ended.clone()),
    )
    .map_err(|error| format!("the disk's thread cannot start: {error}"))?;

    let (up, mut events) = mpsc::channel(EVENTS);
    let mut lanes = Vec::new();
    let mut lane_threads = Vec::new();
    for nth in 0..threads.max(1) {
        let up = up.clone();
        let send = move |event: Up| {
            // Waits only where signalling is a thousand events behind; then the media thread's packets wait with it, which is the
            // consequence that `EVENTS` names.
            drop(up.blocking_send(event));
        };
        let (lane, thread) = lane::start(
            format!("media-{nth}"),
            io,
            seed()?,
            clock,
            disk.clone(),
            Arc::clone(&metrics),
            send,
            Alive::new("media", ended.clone()),
        )
        .map_err(|error| format!("a media thread cannot start: {error}\n  with too few threads or file descriptors: TasksMax= and LimitNOFILE= of the service; or fewer with `threads` in [media]"))?;
        lanes.push(lane);
        lane_threads.push(thread);
    }
    drop(up);
    drop(disk);
    drop(ended);

    let pairs = ports.len() / 2;
    let sockets = Sockets::new(media, &ports, media_dscp, seed()?)
        .map_err(|error| format!("media.ports: {error}\n  a call takes two pairs: give it at least a few hundred ports"))?;
    let table = Table::new(
        call::Config {
            sip: crate::sip::Config::with(sip_ends.clone()),
            peers,
            strangers,
            guarding,
            media,
            policies,
            emergency,
            unrecorded,
            indexed,
            registering,
            handles,
            // A small range must not lie in the stock of one leg while the other has none.
            port_stock: limits::PORT_STOCK.min((pairs / 4).max(1)),
            dead,
            keys: KeySource::new(entropy::secret().map_err(no_randomness)?),
            clocks: clock.both(),
        },
        [seed()?, seed()?],
        clock.now(),
    );
    let mut shell = Shell {
        clock,
        table,
        wires,
        names,
        sockets,
        lanes,
        woken: BTreeSet::new(),
        ledger: ledger.clone(),
        waker: retaining.waker(),
        metrics: Arc::clone(&metrics),
        tallied: call::Tallies::default(),
        watch: Watch::new(clock.now()),
        quotas,
        full: Vec::new(),
        asked: VecDeque::new(),
        feed: Feed::new(),
        ledger_file: data.join("ledger.db"),
        reread,
        asker,
        reviews,
        drained_by: None,
        empty_since: None,
    };
    // Their ports before any other; the calls themselves once it is known where names lead.
    let kept = shell.reopen(&kept);
    shell.input(Input::Register(roster));
    shell.drain();
    let (first, mut located) = hosts::start(named, &dns).await?;
    for found in first {
        shell.located(found);
    }
    shell.restore(kept);
    let api = api::start(api::Doors { unix: door, tls }, ask, shell.feed.events(), clerk)
        .map_err(|error| format!("the API's thread cannot start: {error}"))?;
    announce_ready(&sip_ends);

    let result = shell.until_stopped(&mut events, &mut failures, &mut asked, &mut located, &mut ends).await;

    // Recordings first: media threads end, then the disk, then the ledger, each once nobody can give it work any more.
    tracing::info!(calls = shell.table.count(), "stopping");
    shell.table.shut_down(clock.now());
    shell.drain();
    let api = api.stop();
    scrape.abort();
    if let Some(stamper) = stamper {
        stamper.abort();
        // With it goes its way to the ledger.
        drop(stamper.await);
    }
    let Shell { lanes, ledger: of_shell, .. } = shell;
    drop(of_shell);
    drop(lanes);
    // The last bridges are told of until the media threads have ended, and with them their channel.
    while let Some(up) = events.recv().await {
        if let Up::Event(media::Event::Closed { id, tallies }) = up {
            measured(&ledger, &metrics, id.call, &tallies);
        }
    }
    let mut faults = Vec::new();
    for thread in lane_threads {
        faults.extend(joined(thread, "media").err());
    }
    faults.extend(joined(disk_thread, "disk").err());
    drop(room);
    faults.extend(joined(salvaging.stop(), "salvage").err());
    faults.extend(joined(retaining.stop(), "retention").err());
    faults.extend(joined(api, "api").err());
    drop(ledger);
    faults.extend(joined(ledger_thread, "ledger").err());
    drop(std::fs::remove_file(&control));
    tracing::info!("stopped");
    result.and_then(|()| faults.pop().map_or(Ok(()), Err))
}

/// Events from the media threads that may wait for signalling: a few for each call that is set up within a second.
/// More: the media thread that has one more waits.
const EVENTS: usize = 4096;

/// SIP datagrams read before anything else is looked at.
const SIP_ROUND: usize = 64;

/// How long the last call's BYE may still be sent again after it was answered: T2 is 4 s (RFC 3261 §17.1.2.1).
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How often the clocks are read together and the gauges set.
const TICK: Duration = Duration::from_secs(1);

struct Shell {
    clock: Clock,
    table: Table,
    wires: Wires,
    names: Names,
    sockets: Sockets,
    lanes: Vec<Lane>,
    /// Lanes that were sent something and not woken yet.
    woken: BTreeSet<usize>,
    ledger: Ledger,
    waker: retention::Waker,
    metrics: Arc<Metrics>,
    tallied: call::Tallies,
    watch: Watch,
    /// The policies that have a quota, and those of them that are full.
    quotas: Vec<Arc<str>>,
    full: Vec<Arc<str>>,
    /// Operators whose deeds the table has not answered yet, in order.
    asked: VecDeque<(oneshot::Sender<Reply>, String)>,
    /// Tells those who listen what becomes of calls.
    feed: Feed,
    /// Where the register is read from, and where it is told once it was.
    ledger_file: PathBuf,
    reread: mpsc::UnboundedSender<Input>,
    /// The policies that are to be reviewed, and by when.
    reviews: Vec<(String, Wall)>,
    /// Who asks the web hook, where there is one.
    asker: Option<Asker>,
    /// When to end although there are calls, because an operator wants no new ones.
    drained_by: Option<Moment>,
    /// Since when there is no call.
    empty_since: Option<Moment>,
}

impl Shell {
    /// Opens the ports of the calls that were up when the last process ended.
    fn reopen(&mut self, kept: &[KeptCall]) -> Vec<(Kept, restored::Ports)> {
        let (now, wall) = self.clock.both();
        let mut calls = Vec::with_capacity(kept.len());
        for row in kept {
            match restored::read(row, wall) {
                Ok(kept) => {
                    let ports = restored::ports(&kept, &mut self.sockets, now);
                    calls.push((kept, ports));
                }
                Err(why) => {
                    tracing::warn!(call = %row.call, %why, "call_not_restored");
                    self.ledger.forget(row.call);
                }
            }
        }
        calls
    }

    /// Lets them go on.
    fn restore(&mut self, calls: Vec<(Kept, restored::Ports)>) {
        let kept = calls.len();
        for (kept, ports) in calls {
            self.input(Input::Restore { kept: Box::new(kept), ports });
            self.drain();
        }
        let restored = self.table.count();
        if kept > 0 {
            tracing::info!(kept, restored, "calls_restored");
        }
        self.metrics.calls_restored.inc_by(restored as u64);
    }

    async fn until_stopped(
        &mut self,
        events: &mut mpsc::Receiver<Up>,
        failures: &mut mpsc::UnboundedReceiver<Input>,
        asked: &mut mpsc::Receiver<Asked>,
        located: &mut mpsc::Receiver<Located>,
        ends: &mut mpsc::Receiver<&'static str>,
    ) -> Result<(), String> {
        use tokio::signal::unix::{SignalKind, signal};
        let signal = |kind| signal(kind).map_err(|error| format!("signals cannot be caught: {error}"));
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut tick = tokio::time::interval(TICK);
        let mut buffer = vec![0; limits::SIP_MESSAGE_BYTES];
        loop {
            // First what is due: no flood of messages keeps a timer waiting for longer than one round of them.
            let now = self.clock.now();
            if let Some(at) = self.table.deadline().filter(|&at| at <= now) {
                self.watch.timer_was_due(at, now);
                self.table.wake(now);
                self.drain();
            }
            if self.is_drained(now) {
                return Ok(());
            }
            let next = self.table.deadline().unwrap_or_else(|| self.clock.now() + TICK);
            let due = tokio::time::sleep_until(self.clock.instant(next).into());
            tokio::select! {
                biased;
                _ = term.recv() => return Ok(()),
                _ = int.recv() => return Ok(()),
                Some(name) = ends.recv() => {
                    return Err(format!("the {name} thread ended by a fault of ours\n  please report it, with the log"));
                }
                // Before all that others send: a flood of it keeps nobody from seeing it, or from doing something about it.
                _ = tick.tick() => self.tick(),
                Some((request, who, reply)) = asked.recv() => self.ask(&request, who, reply),
                Some(up) = events.recv() => self.hear(up),
                Some(found) = located.recv() => self.located(found),
                Some(told) = failures.recv() => self.input(told),
                ready = self.wires.ready() => {
                    ready.map_err(|error| format!("a SIP socket failed: {error}\n  its interface or address may be gone; `ip address` shows those that are there, and the log what came before"))?;
                    self.receive(&mut buffer);
                }
                () = due => {}
            }
            self.drain();
        }
    }

    /// What is done once a second.
    fn tick(&mut self) {
        let (moment, wall) = self.clock.both();
        self.table.handle(Input::Clocks(moment, wall), moment);
        let ports = Leg::BOTH.map(|leg| self.sockets.counts(leg, moment));
        let load = self.watch.load(&self.metrics, ports, moment);
        self.metrics.overload_lag.set(load.lag.as_secs_f64());
        self.table.handle(Input::Load(load), moment);
        self.tell_full(moment);
        for (policy, by) in &self.reviews {
            let due = by.unix_micros().saturating_sub(wall.unix_micros()).div_euclid(1_000_000);
            self.metrics.review_due.with_label_values(&[policy.as_str()]).set(due);
        }
        self.gauge();
        self.tell_overload();
        self.renew_certificates();
    }

    /// Tells the table which policies have no room left, where that has changed.
    fn tell_full(&mut self, now: Moment) {
        let is_full = |policy: &&Arc<str>| self.metrics.quota_full.with_label_values(&[&***policy]).get() != 0;
        let full: Vec<Arc<str>> = self.quotas.iter().filter(is_full).cloned().collect();
        if full != self.full {
            self.full.clone_from(&full);
            self.table.handle(Input::Full(full), now);
        }
    }

    /// Does what an operator asks for.
    fn ask(&mut self, request: &Request, who: String, reply: oneshot::Sender<Reply>) {
        match setup::asks(request, &self.table, self.clock) {
            Asks::Told(told) => drop(reply.send(told)),
            Asks::Deed(call, deed) => {
                self.asked.push_back((reply, who));
                self.input(Input::Operator { call, deed });
            }
            Asks::Roster => self.read_register(reply),
            Asks::Drain(limit) => {
                let calls = self.table.count() as u64;
                tracing::info!(calls, limit_s = limit.as_secs(), "draining");
                self.input(Input::Drain);
                self.drained_by = Some(self.clock.now() + limit);
                drop(reply.send(Reply::Draining { calls, limit_s: limit.as_secs() }));
            }
        }
    }

    /// Has the web hook asked about a call.
    fn consult(&self, consulting: Consulting) {
        if let Some(asker) = &self.asker {
            asker.ask(consulting);
        } else {
            // `check` refuses a policy that asks where nobody is to be asked.
            let advice = Advice::silent(crate::node::clock::wall());
            drop(self.reread.send(Input::Advised { call: consulting.call, advice }));
        }
    }

    /// Has the register read again, off the thread that calls are on; the operator is told once they go by it.
    fn read_register(&self, reply: oneshot::Sender<Reply>) {
        let (ledger, reread) = (self.ledger_file.clone(), self.reread.clone());
        tokio::task::spawn_blocking(move || {
            let told = match register::read(&ledger) {
                Ok((register, lines)) => match reread.send(Input::Register(register)) {
                    Ok(()) => Reply::Roster { lines },
                    Err(_) => Reply::Error { what: "the proxy is stopping".into() },
                },
                Err(error) => Reply::Error { what: format!("the register cannot be read: {error}") },
            };
            drop(reply.send(told));
        });
    }

    /// Returns whether an operator wants an end and it has come: at the limit, or once there has been no call for a while.
    fn is_drained(&mut self, now: Moment) -> bool {
        if self.table.count() > 0 {
            self.empty_since = None;
        } else {
            self.empty_since.get_or_insert(now);
        }
        let is_quiet = self.empty_since.is_some_and(|since| now >= since + LAST_WORDS);
        self.drained_by.is_some_and(|at| at <= now || is_quiet)
    }

    fn hear(&mut self, up: Up) {
        match up {
            Up::Event(event) => {
                if let media::Event::Closed { id, tallies } = &event {
                    measured(&self.ledger, &self.metrics, id.call, tallies);
                }
                self.input(Input::Media(event));
            }
            Up::NotRecorded(call) => self.input(Input::VaultFailed { call, left_a_file: false }),
        }
    }

    /// A peer's name leads elsewhere from here on.
    fn located(&mut self, Located { trunk, transport, ways }: Located) {
        self.metrics.peer_up.reset();
        self.input(Input::Located { trunk, transport, ways });
        self.drain();
    }

    fn input(&mut self, input: Input) {
        self.table.handle(input, self.clock.now());
    }

    fn receive(&mut self, buffer: &mut [u8]) {
        for _ in 0..SIP_ROUND {
            let Some(arrived) = self.wires.next(buffer) else { return self.watch.read_a_round(false, self.clock.now()) };
            match arrived {
                Arrived::Message { from, bytes } => {
                    self.metrics.sip_received.inc();
                    self.input(Input::Message { from, bytes });
                }
                Arrived::Broken { from, head, status } => {
                    self.metrics.sip_received.inc();
                    self.input(Input::Broken { from, head, status });
                }
                Arrived::Knock(knock) => self.knocked(knock),
                Arrived::Closed { why, lost } => {
                    self.metrics.sip_connections_ended.with_label_values(&[why.as_str()]).inc();
                    for to in lost {
                        self.input(Input::Unreachable { to });
                    }
                }
                Arrived::Failed => self.metrics.sip_send_errors.inc(),
            }
            self.drain();
        }
        self.watch.read_a_round(true, self.clock.now());
    }

    /// Somebody wants to connect: a peer may, and nobody else learns that anybody is here.
    fn knocked(&mut self, knock: Knock) {
        let flow = knock.flow;
        let source = self.table.source(flow);
        let refused = if source.is_none() {
            Some("stranger")
        } else {
            let name = self.names.of(source, flow.far);
            (!self.wires.admit(knock, name)).then_some("too-many")
        };
        if let Some(why) = refused {
            self.metrics.sip_connections_refused.with_label_values(&[why]).inc();
        }
    }

    /// Does all that the table wants done.
    fn drain(&mut self) {
        let now = self.clock.now();
        while let Some(output) = self.table.poll() {
            match output {
                Output::Send { to, or, bytes } => {
                    // What was ordered before is under way when somebody hears of it: who has agreed by INFO may speak at once.
                    self.wake_lanes();
                    self.send(to, or, bytes);
                }
                Output::Media { call, order } => {
                    self.feed.touch(call);
                    self.order(call, order);
                }
                Output::Record { id, slot, permit, formats } => {
                    self.feed.touch(id.call);
                    self.metrics.consent.with_label_values(&["granted"]).inc();
                    self.down(id.call, ToLane::Record { id, slot, permit, formats });
                }
                Output::Formats { call, slot, formats } => self.down(call, ToLane::Formats { slot, formats }),
                Output::Suspend { call, slot, why } => {
                    self.feed.touch(call);
                    self.down(call, ToLane::Suspend { slot, why });
                }
                Output::Resume { call, slot } => {
                    self.feed.touch(call);
                    self.down(call, ToLane::Resume { slot });
                }
                Output::EndRecording { call, slot, why } => {
                    self.feed.touch(call);
                    self.down(call, ToLane::End { slot, why });
                }
                Output::GiveBack { call, pair } => {
                    self.down(call, Down::Close(pair.ids));
                    self.sockets.give_back(pair, now);
                }
                Output::Consult(consulting) => self.consult(*consulting),
                Output::WantPorts { leg, count } => {
                    let pairs = self.sockets.open(leg, count, now);
                    if !pairs.is_empty() {
                        self.table.handle(Input::Ports(pairs), now);
                    }
                }
                Output::Silent { call, who, then } => {
                    log_silence(call, who, then);
                    self.metrics.dead.inc_by((who == Silence::Both).into());
                }
                Output::Reached { trunk, address, is_up } => log_reached(trunk.as_ref(), address, is_up),
                Output::Story(story) => {
                    self.feed.touch(story.call);
                    self.feed.ended(&story);
                    self.tell(&story);
                    if story.reason == call::Reason::Shredded {
                        self.waker.shred();
                    }
                    self.ledger.story(*story, self.clock.both());
                }
                Output::Keep(kept) => self.ledger.keep(&kept, self.clock.both().1),
                Output::Forget(call) => self.ledger.forget(call),
                Output::Turn { call, recording, what, by } => {
                    let operator = self.asked.front().filter(|_| by == call::Doer::Operator).map(|(_, who)| who.as_str());
                    self.ledger.send(row::of_turn((call, recording), what, by, operator, self.clock.both().1));
                }
                Output::Answer { answer, .. } => {
                    if let Some((reply, _)) = self.asked.pop_front() {
                        // An operator who has gone meanwhile misses nothing but the reply.
                        drop(reply.send(setup::answer(answer, self.clock)));
                    }
                }
            }
        }
        self.wake_lanes();
        self.feed.tell(|call| self.table.live_call(call), self.clock);
    }

    /// Wakes the lanes that were sent something.
    fn wake_lanes(&mut self) {
        while let Some(at) = self.woken.pop_first() {
            if let Some(lane) = self.lanes.get(at) {
                lane.wake();
            }
        }
    }

    /// Logs and counts how far a call came.
    fn tell(&self, story: &Story) {
        log_story(story);
        if story.ended.is_none() {
            return;
        }
        let reason = story.reason;
        self.metrics.calls_ended.with_label_values(&[reason.as_str()]).inc();
        if story.recording.is_none() && story.answered.is_some() {
            self.metrics.consent.with_label_values(&[reason.as_str()]).inc();
        }
    }

    fn send(&mut self, to: Flow, or: Option<SocketAddr>, bytes: Bytes) {
        let name = || self.names.of(self.table.source(to), to.far);
        match self.wires.send(to, or, bytes, name) {
            Outcome::Sent => self.metrics.sip_sent.inc(),
            Outcome::Lost { is_unreachable } => {
                self.metrics.sip_send_errors.inc();
                if is_unreachable {
                    self.table.handle(Input::Unreachable { to }, self.clock.now());
                }
            }
        }
    }

    /// Sends an order to the call's lane, and with a bridge the sockets that it needs and that no lane has yet.
    fn order(&mut self, call: CallId, order: media::Order) {
        if let media::Order::Bridge(bridging) = &order {
            for ids in bridging.ports {
                for (id, socket) in self.sockets.claim(ids).into_iter().flatten() {
                    self.down(call, Down::Socket(id, socket));
                }
            }
        }
        self.down(call, ToLane::Order(order));
    }

    fn down(&mut self, call: CallId, down: impl Into<Down>) {
        let lanes = self.lanes.len().max(1);
        let at = usize::try_from(call.as_u64() % lanes as u64).unwrap_or(0);
        if let Some(lane) = self.lanes.get(at) {
            lane.send(down.into());
            self.woken.insert(at);
        }
    }

    /// A renewed certificate is used from the next connection on; one that cannot be used leaves the old one.
    fn renew_certificates(&mut self) {
        match self.wires.renew() {
            None => {}
            Some(Ok(())) => tracing::info!("certificates_renewed"),
            Some(Err(error)) => {
                self.metrics.certificates_refused.inc();
                tracing::error!(%error, "certificates_not_renewed");
            }
        }
    }

    /// Says of what there is too much, in the log once when it begins and once when it ends.
    fn tell_overload(&self) {
        let overload = self.table.overload();
        for watermark in Watermark::ALL {
            let label = [watermark.as_str()];
            let gauge = self.metrics.overload.with_label_values(&label);
            let is_over = overload.is_over(watermark);
            match (gauge.get() != 0, is_over) {
                (false, true) => tracing::warn!(watermark = watermark.as_str(), "overload_began"),
                (true, false) => tracing::warn!(watermark = watermark.as_str(), "overload_ended"),
                (false, false) | (true, true) => {}
            }
            gauge.set(is_over.into());
            let refused = self.metrics.overload_refused.with_label_values(&label);
            refused.inc_by(overload.refused(watermark).saturating_sub(refused.get()));
        }
    }

    fn gauge(&mut self) {
        for transport in [Transport::Tcp, Transport::Tls] {
            let count = i64::try_from(self.wires.connections(transport)).unwrap_or(i64::MAX);
            self.metrics.sip_connections.with_label_values(&[transport.as_str()]).set(count);
        }
        let live = self.table.live();
        let count =
            |wanted: &dyn Fn(&Live) -> bool| i64::try_from(live.iter().filter(|call| wanted(call)).count()).unwrap_or(i64::MAX);
        let up = count(&|call| call.is_up);
        for (state, value) in [
            ("ringing", count(&|call| !call.is_up)),
            ("up", up),
            ("recording", count(&|call| call.is_recording)),
            ("paused", count(&|call| call.pause_ends.is_some())),
        ] {
            self.metrics.calls.with_label_values(&[state]).set(value);
        }
        self.metrics.legs.set(up * 2);
        for reached in self.table.reached(self.clock.now()) {
            let peer = reached.trunk.as_ref().map_or("pbx", TrunkName::as_str);
            let address = reached.address.to_string();
            let gauge = self.metrics.peer_up.with_label_values(&[peer, reached.transport.as_str(), address.as_str()]);
            gauge.set((reached.is_up && !reached.is_shunned).into());
        }
        for leg in Leg::BOTH {
            let counts = self.sockets.counts(leg, self.clock.now());
            let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
            self.metrics.ports_in_use.with_label_values(&[leg.as_str()]).set(gauge(counts.taken) * 2);
            self.metrics.ports_free.with_label_values(&[leg.as_str()]).set(gauge(counts.free) * 2);
        }
        let (now, before) = (*self.table.tallies(), self.tallied);
        self.metrics.sip_strangers.inc_by(now.strangers - before.strangers);
        for (from, count) in [
            ("stranger", now.strangers_over_rate - before.strangers_over_rate),
            ("peer", now.peers_over_rate - before.peers_over_rate),
        ] {
            self.metrics.sip_over_rate.with_label_values(&[from]).inc_by(count);
        }
        self.metrics.sip_foreign_in_dialog.inc_by(now.not_of_the_dialog - before.not_of_the_dialog);
        self.metrics.forks_refused.inc_by(now.forks_refused - before.forks_refused);
        self.metrics.registered_past_us.inc_by(now.registered_past_us - before.registered_past_us);
        self.tallied = now;
        for (tally, value) in self.table.stack().tallies().iter() {
            let counter = self.metrics.sip_dropped.with_label_values(&[tally.as_str()]);
            counter.inc_by(value.saturating_sub(counter.get()));
        }
    }
}

/// A bridge is closed: what it carried was so good.
fn measured(ledger: &Ledger, metrics: &Metrics, call: CallId, tallies: &BridgeTallies) {
    metrics.add_bridge(tallies);
    ledger.measured(call, tallies);
}

fn joined(thread: JoinHandle<()>, name: &str) -> Result<(), String> {
    thread.join().map_err(|_| format!("the {name} thread ended by a fault of ours\n  please report it, with the log"))
}

/// Says that calls are taken, on standard error, for whoever started us.
#[expect(clippy::print_stderr, reason = "the one line that a supervisor or a test waits for, whatever the log level is")]
fn announce_ready(ends: &[End]) {
    let ends: Vec<String> = ends.iter().map(|end| format!("{} {}", end.transport.as_str(), end.address)).collect();
    eprintln!("mitschnitt ready: {}", ends.join(", "));
}

/// The soft limit of open files is raised to the hard one; where that is too low for the calls that the ports are enough for, it is said.
fn raise_file_limit(pairs: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "file_limit_not_raised");
    }
    let files = getrlimit(Resource::Nofile).current;
    if let Some(calls) = files.and_then(|files| too_few_files(files, pairs)) {
        tracing::warn!(files, calls, remedy = "LimitNOFILE= of the service, or `ulimit -Hn`", "file_limit_is_low");
    }
}

/// Returns for how many calls so many open files are enough, where the ports are enough for more.
fn too_few_files(files: u64, pairs: usize) -> Option<u64> {
    let calls = files.saturating_sub(OWN_FILES) / FILES_PER_CALL;
    let wanted = u64::try_from((pairs / 2).min(limits::CALLS)).unwrap_or(u64::MAX);
    (calls < wanted).then_some(calls)
}

/// Files of a recorded call with one audio line: two pairs of sockets, and the recording.
const FILES_PER_CALL: u64 = 5;

/// Files of the process itself, with the stock of ports: two pairs for each of [`limits::PORT_STOCK`], the connections of SIP, and some dozens.
const OWN_FILES: u64 = 4 * limits::PORT_STOCK as u64 + limits::SIP_CONNECTIONS as u64 + 64;

/// A core dump would hold voices, numbers and keys: the kernel writes none of this process.
fn leave_no_core() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "core_dumps_not_prevented");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_open_files_that_is_too_low_is_told_in_calls() {
        let few = OWN_FILES + 100 * FILES_PER_CALL;

        assert_eq!(too_few_files(few, 202), Some(100), "of the 101 that the ports are enough for");
        assert_eq!(too_few_files(few, 200), None);
        assert_eq!(too_few_files(10, 2), Some(0));
    }
}
