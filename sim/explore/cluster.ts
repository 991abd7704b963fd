/**
 * The states of the cluster: three members, the messages under way, and what an observer knows. A step is one input to
 * one member; steps that change nothing are left out, as are those beyond the bounds.
 * Every step is checked here, every state in safety.ts.
 */
import { isVoter, membersOf } from '../../src/consensus/arithmetic.ts';
import type { CoreInitial } from '../../src/consensus/core-api.ts';
import type { Bounds, Counted } from './bounds.ts';
import { blank_chronicle, type Chronicle, chronicleText } from './chronicle.ts';
import type { HostOptions } from './host.ts';
import type { Input } from './inputs.ts';
import { Classes, type Interned, Interner } from './interner.ts';
import { type Member, Members, type Merge } from './member.ts';
import { member_ids, messageText } from './names.ts';
import { type Network, Networks } from './network.ts';
import { record } from './record.ts';
import { breachIn } from './safety.ts';

export interface Cluster {
  readonly members: readonly Interned<Member>[];
  readonly network: Network;
  readonly chronicle: Interned<Chronicle>;
}

export interface Move {
  /** Who is fed, from 0. */
  readonly who: number;
  readonly input: Interned<Input>;
  /** The message that arrives will arrive once more. */
  readonly again: boolean;
}

export interface Next extends Move {
  readonly cluster: Cluster;
  /** What the step itself did wrong; the state it came to is not looked at yet. */
  readonly breach: string | null;
}

export class Clusters {
  readonly members: Members;
  readonly #networks: Networks;
  readonly #chronicles: Interner<Chronicle>;
  readonly #apart: boolean;

  constructor(options: HostOptions, merged: (merge: Merge) => void) {
    const classes = new Classes();
    this.#apart = options.apart;
    this.members = new Members(classes, options, merged);
    this.#networks = new Networks(this.members.messages, classes);
    this.#chronicles = new Interner(classes);
  }

  /** Three members that start from these disks. */
  start(initial: (id: number) => CoreInitial, chronicle: Chronicle = blank_chronicle): Cluster {
    const members = member_ids.map((id) => this.members.start(id, initial(id)).to);
    return { members, network: this.#networks.of([]), chronicle: this.#chronicle(chronicle) };
  }

  at(members: readonly number[], network: number, chronicle: number): Cluster {
    return {
      members: members.map((number) => this.members.at(number)),
      network: this.#networks.at(network),
      chronicle: this.#chronicles.at(chronicle),
    };
  }

  /** Every step from here, within the bounds, that changes something. */
  next(cluster: Cluster, bounds: Bounds): Next[] {
    const found: Next[] = [];
    for (let who = 0; who < cluster.members.length; who++) {
      for (const move of this.#moves(cluster, who, bounds)) {
        const next = this.step(cluster, move);
        if (next !== null) found.push(next);
      }
    }
    return found;
  }

  /** null: it changes nothing. */
  step(cluster: Cluster, move: Move): Next | null {
    const { who, input, again } = move;
    const from = cluster.members[who]!;
    const step = this.members.step(from, input);
    const { type } = input.value;
    if (step.breach === null && type in must_be_taken && !step.outcome.accepted) return null;
    const members = cluster.members.map((member, i) => (i === who ? step.to : member));
    const arrived = type === 'deliver' && !again ? this.members.number(input.value.message) : -1;
    const terms = members.map((member) => member.value.disk.hard_state.term);
    let revived: string | null = null;
    const network = this.#networks.after(cluster.network, arrived, step.sent, terms, (m) => {
      // Kept apart, a state that an input leaves as it is counts as another: there is nothing to compare.
      if (this.#apart) return;
      const member = members[m.to - 1]!;
      const late = this.members.step(member, this.members.input({ type: 'deliver', message: m }));
      if (late.to !== member || late.sent.length > 0)
        revived = `out of date, but not without effect: ${messageText(m)}`;
    });
    const { reads, reads_failed } = step.outcome;
    const silent = step.sent.every((number) => cluster.network.messages.includes(number));
    const nothing = step.to === from && silent && reads.length + reads_failed.length === 0;
    // A message that does nothing now may still do something later: it stays under way.
    if (nothing && step.breach === null) return null;
    const before = cluster.chronicle.value;
    const { chronicle, breach } = record(before, cluster.members, members, move, step);
    return {
      ...move,
      cluster: { members, network, chronicle: this.#chronicle(chronicle) },
      breach: step.breach ?? breach ?? revived,
    };
  }

  /** The first thing wrong with a state; null: nothing. */
  breach({ members, chronicle }: Cluster): string | null {
    const values = members.map((member) => member.value);
    return breachIn(values, chronicle.value);
  }

  #chronicle(chronicle: Chronicle): Interned<Chronicle> {
    return this.#chronicles.intern(chronicleText(chronicle), () => chronicle);
  }

  *#moves(cluster: Cluster, who: number, bounds: Bounds): Generator<Move> {
    const { members } = this;
    const { used } = cluster.chronicle.value;
    for (const number of cluster.network.to[who + 1]!) {
      const input = members.input({ type: 'deliver', message: members.messages.at(number).value });
      yield { who, input, again: false };
      if (used.repeats < bounds.repeats) yield { who, input, again: true };
    }
    for (const input of this.#own(cluster.members[who]!.value, cluster.chronicle.value, bounds)) {
      yield { who, input: members.input(input), again: false };
    }
  }

  *#own(member: Member, { used }: Chronicle, bounds: Bounds): Generator<Input> {
    const { role, term, leader, configuration } = member.status;
    const left = (name: Counted): boolean => used[name] < bounds[name];
    if (member.writes > 0) yield { type: 'sync' };
    if (member.handed > member.status.applied) yield { type: 'apply' };
    if (left('crashes')) {
      for (let kept = 0; kept <= member.writes; kept++) yield { type: 'crash', kept };
    }
    if (role !== 'leader') {
      if (term < bounds.max_term) yield { type: 'timeout' };
      if (role === 'follower' && leader !== 0 && member.loyal) yield { type: 'silence' };
      return;
    }
    if (left('heartbeats')) yield { type: 'heartbeat' };
    if (left('proposals')) yield { type: 'propose', payload: 'abcdefgh'[used.proposals]!.repeat(2) };
    if (left('reads')) yield { type: 'read', context: used.reads };
    const others = membersOf(configuration).filter((id) => id !== member.id);
    if (left('transfers') && term < bounds.max_term) {
      for (const to of others) if (isVoter(configuration, to)) yield { type: 'transfer', to };
    }
    if (left('changes')) yield* changes(member.id, others);
  }
}

/** Inputs that count for nothing when the core refuses them. */
const must_be_taken: Readonly<Partial<Record<Input['type'], true>>> = {
  propose: true,
  read: true,
  transfer: true,
  change: true,
};

/** Out with one, itself included; one becomes a learner; out with both others at once, which takes a joint configuration. */
function* changes(id: number, others: readonly number[]): Generator<Input> {
  for (const out of [id, ...others]) yield { type: 'change', changes: [{ type: 'remove', id: out }] };
  for (const out of others) yield { type: 'change', changes: [{ type: 'add-learner', id: out }] };
  if (others.length > 1) {
    yield { type: 'change', changes: others.map((out) => ({ type: 'remove', id: out })) };
  }
}
