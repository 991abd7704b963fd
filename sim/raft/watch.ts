/**
 * Looks at a run from outside: log lines, statuses, deaths (frames: watch-frames.ts). From them it hands the oracle what
 * must be judged of a member at any moment, writes the trace, and marks the rare states that were reached.
 */
import type { Configuration, Entry, MemberId, ReplicaStatus } from '../../src/consensus/index.ts';
import { decodeCommand } from './kv.ts';
import type { Member } from './member.ts';
import { textOf } from './oracle.ts';
import { relayEnds } from './relays.ts';
import { FrameWatch } from './watch-frames.ts';
import { lastIndex, type Slot, type WatchedLog } from './watched-log.ts';
import type { World } from './world.ts';

export class Watch {
  readonly #world: World;
  readonly frames: FrameWatch;
  #leader: { readonly id: MemberId; readonly term: number } = { id: 0, term: 0 };
  #joint_at_leader = false;
  #down = 0;
  /** By member: the configuration of its log that was compared last. */
  readonly #compared = new Map<MemberId, Configuration>();
  constructor(world: World) {
    this.#world = world;
    this.frames = new FrameWatch(world);
  }

  /** After every event of a member. */
  member(member: Member): void {
    const { running, env } = member;
    if (running === null || env?.state !== 'running') return;
    const before = member.status;
    const now = running.replica.status();
    member.status = now;
    if (this.#world.oracle.status(member.id, before, now, running.log)) this.#leads(member, now);
    if (before === null) this.#beginsInItsTerm(member, now);
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
    const handed_over = this.frames.takeHandedOver();
    if (before.role === 'leader' && now.role === 'follower' && now.term === before.term && !handed_over)
      this.#mark('leader lost its quorum');
    if (before.role === 'pre-candidate' && now.role === 'follower' && now.leader === 0)
      this.#mark('pre-vote lost');
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
    if (member.storage.faulty && entry.index === this.#world.oracle.committed_index)
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
    const { status, storage } = member;
    relayEnds(this.#world, member);
    if (storage.stable.writing !== null) this.#mark('died while an image was written');
    if (status?.role === 'leader' && isJoint(status))
      this.#mark('leader died while its configuration was joint');
    this.frames.ends(member.id);
  }

  /** In the moment in which a member goes on after having stood still: a leader goes before it does anything else. */
  thaws(member: Member, still_ms: number): void {
    const { running, status } = member;
    // One that is being closed says nothing any more.
    if (running === null || member.closing || status?.role !== 'leader') return;
    const { election_ticks, tick_ms } = this.#world.knobs.timing;
    if (still_ms * (1 - this.#world.knobs.clock_drift) <= election_ticks * tick_ms) return;
    this.#mark('frozen for longer than an election timeout while leading');
    if (running.replica.status().role === 'leader')
      this.#world.oracle.fail(`member ${member.id} stood still for ${still_ms.toFixed(0)} ms and leads on`);
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
    this.frames.leads(member.id);
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

  /** Whoever has the state of a term at its start has heard of that term, whatever its log says. */
  #beginsInItsTerm(member: Member, { term }: ReplicaStatus): void {
    const { meta } = member.storage.stable.image;
    if (term < meta.term)
      this.#world.oracle.fail(
        `member ${member.id} begins in term ${term} with an image of term ${meta.term}`,
      );
  }

  /** A leader that told another to take over may be superseded at once: its last quorum round is worth nothing. */
  #reliesOnNothing(member: Member, now: ReplicaStatus): void {
    const term = this.frames.takeTelling(member.id);
    if (now.role === 'leader' && now.term === term && now.quorum_at_ms > 0)
      this.#world.oracle.fail(`member ${member.id} handed its lead over and relies on it still`);
  }

  #hasUncommittedChange(member: Member, now: ReplicaStatus): boolean {
    const committed = this.#world.oracle.configuration;
    return (
      now.commit < now.last_index && member.status !== null && !sameMembers(committed, now.configuration)
    );
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
