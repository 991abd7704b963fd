/**
 * Runs one member: joins core, log store, state machine and transport. It does what the core's Readys say, in their
 * order: a promise leaves only after what it promises is durable, an entry is applied only when it is committed and
 * durable here. It must never let the core act on a moment that is over: after standing still a leader steps down
 * before it does anything else. A failed disk or a broken invariant ends the process through `env.fatal`.
 */
import {
  ConsensusError,
  type ReplicaApi,
  type ReplicaEvents,
  type ReplicaStatus,
  type Timing,
} from './api.ts';
import { ApplyQueue } from './apply-queue.ts';
import { campaignDelay } from './campaign-delay.ts';
import { Compactor } from './compactor.ts';
import { isJoint } from './configuration.ts';
import { closedError, notLeader, refusedBy, tooEarly } from './consensus-errors.ts';
import { createCore } from './core.ts';
import type { Core, ProposeResult } from './core-api.ts';
import { LogPipeline } from './log-pipeline.ts';
import { ReplicaEmitter } from './replica-emitter.ts';
import { limitsOf, type ReplicaDeps, type ReplicaOptions } from './replica-options.ts';
import { startState } from './replica-start.ts';
import { type RoleView, roleView, sameLead, sameView } from './role-view.ts';
import { installSnapshot } from './snapshot-installer.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';
import { SnapshotSender } from './snapshot-transfer.ts';
import { TickClock } from './tick-clock.ts';
import type {
  Configuration,
  MemberChange,
  MemberId,
  MemberProgress,
  Message,
  Ready,
  SnapshotMeta,
} from './types.ts';
import { proposal_limits, WaitingProposals } from './waiting-proposals.ts';
import { Waits } from './waits.ts';
import { decodeFrame, encodeFrame, type Frame, WireError } from './wire.ts';

/** A commit index waits this long for something to travel with. Whoever waits for it elsewhere waits as long. */
const commit_wait_ms = 2;

/**
 * Opens the member; it takes part from now on. It owns the log store and closes it.
 * @throws Error when state machine and log do not fit together
 */
export function openReplica(options: ReplicaOptions, deps: ReplicaDeps): ReplicaApi {
  return new Replica(options, deps);
}

class Replica implements ReplicaApi {
  readonly #id: MemberId;
  readonly #timing: Timing;
  readonly #limits: ReturnType<typeof limitsOf>;
  readonly #deps: ReplicaDeps;
  readonly #core: Core;
  readonly #pipeline: LogPipeline;
  readonly #apply: ApplyQueue;
  readonly #compactor: Compactor;
  readonly #sender: SnapshotSender;
  readonly #receiver: SnapshotReceiver;
  readonly #clock: TickClock;
  readonly #proposals = new WaitingProposals();
  readonly #waits: Waits;
  readonly #emitter: ReplicaEmitter;
  #shown: RoleView;
  #pump_due = false;
  #apply_due = false;
  #tell_due = false;
  /** Somebody asked to read since the reads were last handed to the core. */
  #reads_wait = false;
  #cancelTick: () => void = () => undefined;
  /** While the log store is being reset: the core must neither move nor be asked. */
  #held: Promise<void> | null = null;
  #installing: Promise<boolean> | null = null;
  #closed = false;

  constructor(options: ReplicaOptions, deps: ReplicaDeps) {
    const { id, timing } = options;
    const { log, machine, transport, env, spool } = deps;
    this.#id = id;
    this.#timing = timing;
    this.#limits = limitsOf(options.limits);
    this.#deps = deps;
    const start = startState(log.initial, machine.durable);
    if (start.type === 'unfit') {
      env.fatal(start.reason);
      throw new Error(start.reason);
    }
    const core_options = {
      ...this.#limits,
      ...timing,
      id,
      defer_commit: true,
      random: () => env.random(),
    };
    this.#core = createCore(core_options, start.initial);
    machine.configuration(start.applied.index, start.applied.configuration);
    this.#pipeline = new LogPipeline(log, start.initial.hard_state, {
      durable: (seq, messages) => this.#guard(() => this.#durable(seq, messages)),
      failed: (error) => this.#fatal('the log could not be written', error),
    });
    this.#apply = new ApplyQueue(machine, {
      applied: (entry, result) => this.#proposals.applied(entry, result),
      configuration: (index, configuration) => this.#configurationApplied(index, configuration),
      sliceDone: (index, entries, bytes) => {
        this.#core.applied(index);
        this.#compactor.applied(entries, bytes);
      },
    });
    const { compaction, transfer: limits } = this.#limits;
    this.#compactor = new Compactor(machine, log, compaction, start.applied);
    this.#sender = new SnapshotSender({
      id,
      env,
      limits,
      snapshot: (chunk_bytes) => {
        const { meta, chunks } = machine.snapshot(chunk_bytes);
        return { meta: this.#compactor.withConfiguration(meta), chunks };
      },
      send: (frame) => this.#send(frame),
      finished: (to, ok) => this.#act(() => this.#core.snapshotSent(to, ok)),
    });
    this.#receiver = new SnapshotReceiver({
      id,
      env,
      limits,
      spool,
      send: (frame) => this.#send(frame),
      accepts: (from, term) => {
        const status = this.#core.status();
        return status.role === 'follower' && status.leader === from && status.term === term;
      },
      commit: () => this.#core.status().commit,
      install: (meta, chunks) => {
        this.#installing = this.#install(meta, chunks);
        return this.#installing;
      },
    });
    this.#waits = new Waits(env);
    this.#emitter = new ReplicaEmitter(env);
    this.#clock = new TickClock(timing, env.now_ms());
    this.#shown = roleView(this.#core.status(), this.#apply.term);
    if (start.reset) this.#hold(log.reset(start.initial.snapshot, start.initial.hard_state));
    this.#receive(this.#receiver.begin());
    transport.onMessage((from, bytes) => this.#onMessage(from, bytes));
    transport.onPeer((peer, up) => this.#onPeer(peer, up));
    this.#scheduleTick();
    this.#schedulePump();
  }

  propose(data: Uint8Array): Promise<{ index: number; result: unknown }> {
    if (data.length > proposal_limits.entry_bytes) {
      const limit = proposal_limits.entry_bytes;
      return Promise.reject(new RangeError(`a proposal of ${data.length} bytes; at most ${limit} expected`));
    }
    const barred = this.#barred();
    if (barred !== null) return Promise.reject(barred);
    if (!this.#proposals.admits(data.length)) {
      return Promise.reject(new ConsensusError('busy', 'too many proposals wait', 'not-proposed', this.#id));
    }
    return new Promise((resolve, reject) => {
      this.#proposals.add({ data, begun_ms: this.#deps.env.now_ms(), resolve, reject });
      this.#schedulePump();
    });
  }

  readIndex(): Promise<{ index: number; term: number }> {
    const barred = this.#barred();
    if (barred !== null) return Promise.reject(barred);
    const read = this.#waits.read(2 * this.#electionMs());
    this.#reads_wait = true;
    this.#schedulePump();
    return read;
  }

  waitApplied(index: number, timeout_ms: number): Promise<void> {
    if (this.#closed) return Promise.reject(closedError());
    if (index <= this.#apply.index) return Promise.resolve();
    return this.#waits.applied(index, timeout_ms);
  }

  changeMembers(changes: readonly MemberChange[]): Promise<void> {
    const asked = this.#ask(() => this.#core.proposeChange(changes));
    if (asked.error !== null) return Promise.reject(asked.error);
    return this.#waits.change(asked.index, 10 * this.#electionMs());
  }

  transferLeadership(to: MemberId = 0): Promise<void> {
    const asked = this.#ask(() => this.#core.transfer(to));
    if (asked.error !== null) return Promise.reject(asked.error);
    return this.#waits.transfer(2 * this.#electionMs());
  }

  stepDown(reason: string): void {
    if (this.#closed || this.#held !== null || this.#core.status().role !== 'leader') return;
    this.#deps.env.log('warn', 'gives up the lead', { reason });
    this.#act(() => this.#core.stepDown());
  }

  status(): ReplicaStatus {
    this.#noticeStandstill();
    const status = this.#core.status();
    const { established } = roleView(status, this.#apply.term);
    const quorum_at_ms = status.role === 'leader' ? this.#clock.momentOf(this.#core.quorumAgeTicks()) : 0;
    return { ...status, applied: this.#apply.index, established, quorum_at_ms };
  }

  progress(): readonly MemberProgress[] {
    return this.#core.progress();
  }

  on<K extends keyof ReplicaEvents>(event: K, handler: ReplicaEvents[K]): () => void {
    return this.#emitter.on(event, handler);
  }

  async close(): Promise<void> {
    if (!this.#closed) this.#stop();
    await this.#pipeline.idle();
    await Promise.allSettled([this.#compactor.idle(), this.#installing, this.#held, this.#receiver.idle()]);
    await this.#deps.log.close();
  }

  // ---------------------------------------------------------------- what comes in

  #onMessage(from: MemberId, bytes: Uint8Array): void {
    if (this.#closed) return;
    let frame: Frame;
    try {
      frame = decodeFrame(bytes);
      if (frame.from !== from) throw new WireError(`it says it is from ${frame.from}`);
    } catch (error) {
      this.#deps.env.log('warn', 'frame dropped', { from, error: String(error) });
      return;
    }
    // The transport may lose frames: while the core is held, these are.
    if (frame.to !== this.#id || this.#held !== null) return;
    this.#noticeStandstill();
    switch (frame.type) {
      case 'snapshot-offer':
        this.#receive(this.#receiver.onOffer(frame));
        break;
      case 'snapshot-chunk':
        this.#receive(this.#receiver.onChunk(frame));
        break;
      case 'snapshot-ack':
        this.#guard(() => this.#sender.onAck(frame));
        break;
      default:
        this.#act(() => this.#core.step(frame));
    }
  }

  #onPeer(peer: MemberId, up: boolean): void {
    if (this.#closed || this.#held !== null) return;
    this.#noticeStandstill();
    this.#act(() => {
      this.#core.peer(peer, up);
      const { configuration } = this.#core.status();
      if (!up) this.#core.leaderLost(peer, campaignDelay(configuration, this.#id, peer));
    });
  }

  #scheduleTick(): void {
    this.#cancelTick = this.#deps.env.after(this.#timing.tick_ms, () => {
      if (this.#closed) return;
      this.#guard(() => this.#tick());
      if (!this.#closed) this.#scheduleTick();
    });
  }

  #tick(): void {
    const now_ms = this.#deps.env.now_ms();
    if (this.#held !== null) {
      this.#clock.skip(now_ms);
      return;
    }
    this.#noticeStandstill();
    const ticks = this.#clock.advance(now_ms);
    for (let i = 0; i < ticks; i++) this.#core.tick();
    const age_ms = this.#pipeline.age_ms(now_ms);
    if (age_ms > this.#limits.slow_append_ms)
      this.stepDown(`a write to the log has taken ${age_ms} ms so far`);
    this.#receive(this.#receiver.expire());
    this.#sender.expire();
    this.#proposals.expire(now_ms);
    this.#pump();
  }

  /** A leader that stood still for an election timeout may have a successor: it goes before it does anything else. */
  #noticeStandstill(): void {
    if (this.#closed || this.#held !== null || !this.#clock.stoodStill(this.#deps.env.now_ms())) return;
    this.stepDown('it stood still for longer than an election timeout');
  }

  // ---------------------------------------------------------------- what the core wants done

  #act(act: () => void): void {
    if (this.#closed) return;
    this.#guard(() => {
      act();
      this.#schedulePump();
    });
  }

  /** Everything of one turn is handed to the core, then its Readys are taken once. */
  #schedulePump(): void {
    if (this.#pump_due || this.#closed) return;
    this.#pump_due = true;
    queueMicrotask(() => {
      this.#pump_due = false;
      this.#guard(() => this.#pump());
    });
  }

  #pump(): void {
    if (this.#closed || this.#held !== null) return;
    this.#proposeWaiting();
    this.#requestReads();
    for (let ready = this.#core.ready(); ready !== null; ready = this.#core.ready()) this.#perform(ready);
    this.#applySome();
    this.#tellCommitSoon();
    this.#showChanges();
    this.#compactIfDue();
  }

  /** Most of the time the next append is there first and carries it; whoever proposed has its answer from here anyway. */
  #tellCommitSoon(): void {
    const upto = this.#tell_due ? 0 : this.#core.untoldCommit();
    if (upto === 0) return;
    this.#tell_due = true;
    this.#deps.env.after(commit_wait_ms, () => {
      this.#tell_due = false;
      if (this.#held === null) this.#act(() => this.#core.tellCommit(upto));
    });
  }

  #perform(ready: Ready): void {
    for (const message of ready.messages) this.#dispatch(message);
    this.#apply.push(ready.committed);
    for (const { context, index } of ready.reads) this.#waits.readConfirmed(context, index);
    if (ready.reads_failed.length > 0)
      this.#waits.readsFailed(ready.reads_failed, notLeader(this.#core.status().leader));
    this.#pipeline.push(ready, this.#deps.env.now_ms());
  }

  #durable(seq: number, messages: readonly Message[]): void {
    if (this.#closed) return;
    for (const message of messages) this.#dispatch(message);
    this.#core.synced(seq);
    this.#schedulePump();
  }

  #dispatch(message: Message): void {
    if (message.type === 'snapshot') this.#sender.request(message.to, message.term);
    else this.#send(message);
  }

  #send(frame: Frame): void {
    if (!this.#closed) this.#deps.transport.send(frame.to, encodeFrame(frame));
  }

  #proposeWaiting(): void {
    const waiters = this.#proposals.takeUnproposed();
    if (waiters.length === 0) return;
    const result = this.#core.propose(waiters.map((waiter) => waiter.data));
    if (result.ok) this.#proposals.proposed(waiters, result.first_index, result.term);
    else this.#proposals.refused(waiters, refusedBy(result, this.#core.status().leader));
  }

  #requestReads(): void {
    if (!this.#reads_wait) return;
    this.#reads_wait = false;
    const { role, leader, term } = this.#core.status();
    const context = this.#waits.takeReads(term);
    if (context === null || this.#core.requestRead(context)) return;
    this.#waits.readsFailed([context], role === 'leader' ? tooEarly(leader) : notLeader(leader));
  }

  #applySome(): void {
    const before = this.#apply.index;
    this.#apply.step();
    if (this.#apply.index !== before) {
      this.#waits.appliedTo(this.#apply.index);
      this.#emitter.emit('applied', this.#apply.index);
    }
    if (!this.#apply.waiting || this.#apply_due) return;
    this.#apply_due = true;
    this.#deps.env.after(0, () => {
      this.#apply_due = false;
      this.#guard(() => this.#pump());
    });
  }

  #configurationApplied(index: number, configuration: Configuration): void {
    this.#compactor.configurationChanged(index, configuration);
    if (!isJoint(configuration)) this.#waits.changeApplied(index);
    this.#emitter.emit('configuration', configuration);
  }

  #showChanges(): void {
    const status = this.#core.status();
    const next = roleView(status, this.#apply.term);
    const last = this.#shown;
    if (last.role === 'leader' && !sameLead(last, next)) {
      this.#sender.abort();
      this.#proposals.leadLost(status.commit, next.leader);
      this.#waits.leadLost(status.commit, next.leader);
    }
    if (sameView(last, next)) return;
    this.#shown = next;
    this.#deps.env.log('info', 'role', { ...next });
    this.#emitter.emit('role', next);
  }

  #compactIfDue(): void {
    const pressure = this.#deps.log.underPressure?.() === true;
    if (this.#installing !== null || !this.#compactor.isDue(pressure)) return;
    this.#compactor.run(this.#sender.lowest_index, pressure).then(
      ({ meta, keep }) => {
        this.#sender.compacted(meta.index - keep);
        this.#act(() => this.#core.compacted(meta, keep));
      },
      (error: unknown) => this.#fatal('the state could not be made durable', error),
    );
  }

  // ---------------------------------------------------------------- a snapshot from the leader

  #receive(work: Promise<void>): void {
    work.catch((error: unknown) => this.#fatal('a snapshot could not be installed', error));
  }

  async #install(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<boolean> {
    const { machine, log, env } = this.#deps;
    const parts = {
      core: this.#core,
      pipeline: this.#pipeline,
      apply: this.#apply,
      compactor: this.#compactor,
    };
    const hold = (work: Promise<void>) => this.#hold(work);
    const installed = (at: SnapshotMeta) => this.#snapshotInstalled(at);
    const closed = () => this.#closed;
    try {
      return await installSnapshot({ machine, log, env, ...parts, hold, installed, closed }, meta, chunks);
    } finally {
      this.#installing = null;
      this.#schedulePump();
    }
  }

  #snapshotInstalled(meta: SnapshotMeta): void {
    this.#waits.appliedTo(meta.index);
    if (!isJoint(meta.configuration)) this.#waits.changeApplied(meta.index);
    this.#deps.env.log('info', 'a snapshot was installed', { index: meta.index, term: meta.term });
    this.#emitter.emit('applied', meta.index);
    this.#emitter.emit('configuration', meta.configuration);
  }

  /** Keeps the core still until `work` is done. */
  async #hold(work: Promise<void>): Promise<void> {
    const held = work.then(
      () => undefined,
      (error: unknown) => this.#fatal('the log could not be reset', error),
    );
    this.#held = held;
    await held;
    this.#held = null;
    this.#clock.skip(this.#deps.env.now_ms());
    this.#schedulePump();
  }

  // ---------------------------------------------------------------- answers, errors and the end

  #electionMs(): number {
    return this.#timing.election_ticks * this.#timing.tick_ms;
  }

  /** Why nothing can be asked of this member now; null: it leads. */
  #barred(): ConsensusError | null {
    if (this.#closed) return closedError();
    this.#noticeStandstill();
    const { role, leader } = this.#core.status();
    return role === 'leader' ? null : notLeader(leader);
  }

  /** Asks the core for something that a leader does. */
  #ask(
    ask: () => ProposeResult,
  ): { readonly error: ConsensusError } | { readonly error: null; readonly index: number } {
    let asked: ProposeResult | null = null;
    const barred = this.#barred();
    if (barred !== null) return { error: barred };
    this.#act(() => {
      asked = ask();
    });
    const result = asked as ProposeResult | null;
    if (result === null) return { error: closedError() };
    if (!result.ok) return { error: refusedBy(result, this.#core.status().leader) };
    return { error: null, index: result.first_index };
  }

  /** Whatever the core or the state machine throws is a broken invariant. */
  #guard(act: () => void): void {
    if (this.#closed) return;
    try {
      act();
    } catch (error) {
      this.#fatal('an invariant is broken', error);
    }
  }

  #fatal(what: string, error: unknown): void {
    if (this.#closed) return;
    const reason = `${what}: ${error instanceof Error ? error.message : String(error)}`;
    const stack = error instanceof Error ? error.stack : undefined;
    this.#deps.env.log('error', reason, stack === undefined ? {} : { stack });
    this.#stop();
    this.#deps.env.fatal(reason, error);
  }

  #stop(): void {
    this.#closed = true;
    this.#cancelTick();
    this.#sender.abort();
    this.#proposals.close();
    this.#waits.close();
  }
}
