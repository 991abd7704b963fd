/**
 * Looks at a run from outside: frames, log lines, statuses, deaths. From them it hands the oracle what must be judged
 * about frames (a promise leaves only when it is durable), writes the trace, and marks the rare states that were reached.
 */
import {
  type Configuration,
  configurationOf,
  type Entry,
  type MemberId,
  type ReplicaStatus,
} from '../../src/consensus/index.ts';
import { decodeFrame, encodeFrame, type Frame } from '../../src/consensus/wire.ts';
import { typeByte } from './alter.ts';
import type { SimProcess } from './clock.ts';
import { decodeCommand } from './kv.ts';
import type { Member } from './member.ts';
import { textOf } from './oracle.ts';
import { lastIndex, type Slot, type WatchedLog } from './watched-log.ts';
import type { World } from './world.ts';

/** Frames that say something worth judging; the others are not even decoded. */
const judged = new Set<number>(
  (
    [
      { type: 'vote', pre: false, last_index: 0, last_term: 0, transfer: false },
      { type: 'vote-reply', pre: false, granted: false },
      { type: 'append-reply', ok: true, index: 0, hint_index: 0, hint_term: 0 },
      { type: 'timeout-now' },
      {
        type: 'snapshot-offer',
        transfer: 1,
        meta: { index: 1, term: 1, configuration: configurationOf([]) },
      },
      { type: 'snapshot-ack', transfer: 1, next: 0, state: 'more' },
    ] as const
  ).map((fields) => typeByte(encodeFrame({ ...fields, from: 1, to: 2, term: 1 }))),
);

interface Transfer {
  readonly from: MemberId;
  readonly to: MemberId;
}

export class Watch {
  readonly #world: World;
  /** Who asked for votes, by term. */
  readonly #candidates = new Map<number, Set<MemberId>>();
  readonly #split_terms = new Set<number>();
  readonly #transfers = new Map<number, Transfer>();
  #leader: { readonly id: MemberId; readonly term: number } = { id: 0, term: 0 };
  #joint_at_leader = false;
  #down = 0;
  /** In the event that is just over a leader gave up the lead by itself. */
  #handed_over = false;
  /** Who told somebody to campaign in the event that is just over. */
  #tells: { readonly from: MemberId; readonly term: number } | null = null;
  /** By member: the configuration of its log that was compared last. */
  readonly #compared = new Map<MemberId, Configuration>();
  /** Who was told to campaign, by number and term. */
  readonly #told = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  /** After every event of a member. */
  member(member: Member): void {
    const { running, env } = member;
    if (running === null || env?.state !== 'running') return;
    const before = member.status;
    const now = running.replica.status();
    member.status = now;
    if (this.#world.oracle.status(member.id, before, now, running.log)) this.#leads(member, now);
    this.#followsItsLog(member, before, now, running.log);
    this.#reliesOnNothing(member, now);
    if (now.role === 'leader' && now.term === this.#leader.term) this.#joint_at_leader = isJoint(now);
    if (
      before === null ||
      (before.role === now.role && before.term === now.term && before.leader === now.leader)
    )
      return;
    this.#world.note(
      member,
      `${now.role} term ${now.term} leader ${now.leader} log ${now.last_index}/${now.commit}`,
    );
    if (before.role === 'leader' && now.role === 'follower' && now.term === before.term && !this.#handed_over)
      this.#mark('leader lost its quorum');
    this.#handed_over = false;
    if (before.role === 'pre-candidate' && now.role === 'follower' && now.leader === 0)
      this.#mark('pre-vote lost');
  }

  sent(env: SimProcess, to: MemberId, bytes: Uint8Array): void {
    const member = this.#world.members.get(env.id);
    const running = member?.running;
    if (!judged.has(typeByte(bytes))) return;
    const frame = decodeFrame(bytes);
    if (running) this.#promiseIsDurable(frame, running.log);
    switch (frame.type) {
      case 'timeout-now':
        this.#handed_over = true;
        this.#tells = { from: frame.from, term: frame.term };
        this.#told.add(`${to} ${frame.term}`);
        break;
      case 'vote':
        if (!frame.pre) this.#candidate(frame.from, frame.term);
        // Whoever says that the leader sent it must have been sent, in that term (thesis, section 4.2.3).
        if (frame.transfer && !this.#told.has(`${frame.from} ${frame.term - 1}`))
          this.#world.oracle.fail(
            `member ${frame.from} campaigns in term ${frame.term} as if it was told to`,
          );
        if (this.#world.oracle.configuration_index > 0 && this.#isRemoved(frame.from))
          this.#mark('removed member still campaigns');
        break;
      case 'snapshot-offer':
        this.#transfers.set(frame.transfer, { from: frame.from, to });
        this.#world.oracle.boundary(frame.from, frame.meta);
        if (frame.meta.configuration.voters_outgoing.length > 0) this.#mark('snapshot sent while joint');
        break;
      case 'snapshot-ack':
        if (frame.state === 'done' || frame.state === 'failed') this.#transfers.delete(frame.transfer);
        break;
    }
  }

  line(member: Member, level: string, message: string, fields: Record<string, unknown>): void {
    const { stack: _, ...shown } = fields;
    this.#world.note(member, `${level} ${message} ${JSON.stringify(shown)}`);
    if (message === 'frame dropped') this.#mark('altered frame refused');
    if (message === 'snapshot refused') this.#mark('altered snapshot refused');
    if (message === 'a snapshot was installed') this.#mark('snapshot installed');
    if (message.startsWith('the end of the log is a write that a crash cut off'))
      this.#mark('torn tail recovered');
    if (message.startsWith('the disk is full')) this.#mark('log reserve given up');
    if (message === 'a snapshot was not taken') this.#mark('snapshot given up');
    if (message === 'gives up the lead') {
      const reason = String(shown['reason']);
      if (reason.startsWith('it stood still')) this.#mark('leader stood still and stepped down');
      if (reason.startsWith('a write to the log')) this.#mark('leader stepped down: slow disk');
    }
  }

  replaced(member: Member, index: number, slot: Slot): void {
    this.#mark('uncommitted entry overwritten');
    if (slot.kind === 'config') this.#mark('configuration change overwritten before it was committed');
    const commit = member.status?.commit ?? 0;
    if (index <= commit)
      this.#world.oracle.fail(`member ${member.id} replaces entry ${index}, committed ${commit}`);
  }

  applied(member: Member, entry: Entry, term: number): void {
    if (member.faulty && entry.index === this.#world.oracle.committed_index)
      this.#world.once(member.id, 'damaged member caught up by listening');
    if (entry.term < term && entry.index > this.#world.oracle.committed_index - 1)
      this.#mark('entry of an older term committed by a later leader');
    if (entry.kind !== 'command') return;
    const op = this.#world.history.ops[decodeCommand(entry.data).id - 1];
    if (op !== undefined && op.outcome === 'unknown' && op.return > 0)
      this.#world.once(op.id, 'proposal of unknown outcome took effect');
  }

  opens(member: Member, log: WatchedLog, image_ahead: boolean): void {
    const { term, vote, commit } = log.initial.hard_state;
    this.#world.note(
      member,
      `opened: log to ${lastIndex(log.given)}, term ${term} vote ${vote} commit ${commit}`,
    );
    if (image_ahead) this.#mark('image ahead of the log at a start');
    const { fault } = log.initial;
    if (fault !== undefined) this.#world.note(member, `damaged: ${fault.file} ${fault.reason}`);
    if (vote !== 0 && term > this.#leader.term) this.#mark('restarted with a vote in its term');
  }

  /** Just before a process ends. */
  ends(member: Member): void {
    const { status, stable } = member;
    if (stable.writing !== null) this.#mark('died while an image was written');
    if (status?.role === 'leader' && isJoint(status))
      this.#mark('leader died while its configuration was joint');
    for (const [id, transfer] of this.#transfers) {
      if (transfer.from !== member.id && transfer.to !== member.id) continue;
      const who = transfer.from === member.id ? 'sender' : 'receiver';
      this.#mark(`snapshot interrupted: ${who} died`);
      this.#transfers.delete(id);
    }
  }

  /** In the moment in which a member goes on after having stood still: a leader goes before it does anything else. */
  thaws(member: Member, still_ms: number): void {
    const { running, status } = member;
    if (running === null || status?.role !== 'leader') return;
    const { election_ticks, tick_ms } = this.#world.knobs.timing;
    if (still_ms * (1 - this.#world.knobs.clock_drift) <= election_ticks * tick_ms) return;
    this.#mark('frozen for longer than an election timeout while leading');
    if (running.replica.status().role === 'leader')
      this.#world.oracle.fail(`member ${member.id} stood still for ${still_ms.toFixed(0)} ms and leads on`);
  }

  /** A snapshot is on its way from or to this member. */
  inTransfer(id: MemberId): boolean {
    for (const { from, to } of this.#transfers.values()) if (from === id || to === id) return true;
    return false;
  }

  /** Once in a while: states of the group as a whole. */
  group(): void {
    const voters = this.#world.oracle.configuration.voters;
    const down = voters.filter((id) => this.#world.members.get(id)?.up !== true).length;
    if (down !== this.#down && down === voters.length) this.#mark('all members down at once');
    else if (2 * down > voters.length && 2 * this.#down <= voters.length) this.#mark('majority down at once');
    this.#down = down;
  }

  #leads(member: Member, now: ReplicaStatus): void {
    const w = this.#world;
    if (this.#joint_at_leader && isJoint(now)) this.#mark('leader changed while the configuration was joint');
    if (member.running !== null && this.#hasUncommittedChange(member, now))
      this.#mark('new leader inherits an uncommitted configuration');
    for (const other of w.members.values()) {
      if (other === member || other.status?.role !== 'leader' || other.status.term >= now.term) continue;
      this.#mark('two members lead at once');
      const { quorum_at_ms } = other.status;
      const age_ms = other.now_ms - quorum_at_ms;
      const { election_ticks, tick_ms } = w.knobs.timing;
      // Two clocks may differ by twice the drift.
      if (quorum_at_ms > 0 && age_ms < election_ticks * tick_ms * (1 - 2 * w.knobs.clock_drift))
        w.relied(member, other, age_ms);
    }
    for (const [id, transfer] of this.#transfers) {
      if (transfer.from === member.id) continue;
      this.#mark('snapshot interrupted: lead changed');
      this.#transfers.delete(id);
    }
    this.#leader = { id: member.id, term: now.term };
    this.#joint_at_leader = isJoint(now);
  }

  /**
   * A change of the members counts from its append on and is rolled back with its entry (thesis, section 4.1); what was
   * acknowledged behind a snapshot stays.
   */
  #followsItsLog(member: Member, before: ReplicaStatus | null, now: ReplicaStatus, log: WatchedLog): void {
    if (log.replacing || lastIndex(log.given) !== now.last_index) return;
    if (before?.configuration !== now.configuration || log.configuration !== this.#compared.get(member.id)) {
      this.#compared.set(member.id, log.configuration);
      if (textOf(now.configuration) !== textOf(log.configuration))
        this.#world.oracle.fail(`member ${member.id} counts by another configuration than its log has`);
    }
    const lost_to = log.takeLost();
    if (lost_to === 0) return;
    this.#mark('snapshot installed below a tail that matches');
    if (now.last_index < lost_to && now.term === before?.term)
      this.#world.oracle.fail(`member ${member.id} lost entries to ${lost_to} that stood behind a snapshot`);
  }

  /** A leader that told another to take over may be superseded at once: its last quorum round is worth nothing. */
  #reliesOnNothing(member: Member, now: ReplicaStatus): void {
    if (this.#tells?.from !== member.id) return;
    const { term } = this.#tells;
    this.#tells = null;
    if (now.role === 'leader' && now.term === term && now.quorum_at_ms > 0)
      this.#world.oracle.fail(`member ${member.id} handed its lead over and relies on it still`);
  }

  #hasUncommittedChange(member: Member, now: ReplicaStatus): boolean {
    const committed = this.#world.oracle.configuration;
    return (
      now.commit < now.last_index && member.status !== null && !sameMembers(committed, now.configuration)
    );
  }

  #candidate(id: MemberId, term: number): void {
    let asking = this.#candidates.get(term);
    if (asking === undefined) {
      asking = new Set();
      this.#candidates.set(term, asking);
    }
    asking.add(id);
    if (asking.size > 1 && !this.#split_terms.has(term)) {
      this.#split_terms.add(term);
      this.#mark('vote split');
    }
  }

  #isRemoved(id: MemberId): boolean {
    const { voters, voters_outgoing, learners, learners_next } = this.#world.oracle.configuration;
    return ![voters, voters_outgoing, learners, learners_next].some((list) => list.includes(id));
  }

  /** Votes and acknowledgements are promises (thesis, figure 3.1: persistent state, updated before responding). */
  #promiseIsDurable(frame: Frame, log: WatchedLog): void {
    const { promised } = log;
    const breach = (what: string) =>
      this.#world.oracle.fail(`member ${frame.from} sent ${what} before it was durable`);
    if (frame.type === 'vote-reply' && frame.granted && !frame.pre) {
      const kept = promised.term > frame.term || (promised.term === frame.term && promised.vote === frame.to);
      if (!kept) breach(`its vote for ${frame.to} in term ${frame.term}`);
    } else if (frame.type === 'append-reply' && frame.ok) {
      if (promised.term < frame.term) breach(`an answer of term ${frame.term}`);
      if (promised.term === frame.term && lastIndex(promised) < frame.index)
        breach(`an acknowledgement of ${frame.index}`);
    }
  }

  #mark(name: Parameters<World['marks']['hit']>[0]): void {
    this.#world.marks.hit(name);
  }
}

function isJoint({ configuration }: ReplicaStatus): boolean {
  return configuration.voters_outgoing.length > 0;
}

function sameMembers(a: ReplicaStatus['configuration'], b: ReplicaStatus['configuration']): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
