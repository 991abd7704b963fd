/**
 * Looks at the frames that members send: a promise leaves only when it is durable, who campaigns as if it was told to was
 * told to. Keeps which snapshots are on their way. It changes no frame, and decodes only those that say something.
 */
import { configurationOf, type MemberId } from '../../src/consensus/index.ts';
import { decodeFrame, encodeFrame, type Frame } from '../../src/consensus/wire.ts';
import { typeByte } from './alter.ts';
import type { SimProcess } from './clock.ts';
import { judgeRelayed } from './relays.ts';
import { lastIndex, type WatchedLog } from './watched-log.ts';
import type { World } from './world.ts';

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

interface Told {
  readonly from: MemberId;
  readonly term: number;
}

export class FrameWatch {
  readonly #world: World;
  /** Who asked for votes, by term. */
  readonly #candidates = new Map<number, Set<MemberId>>();
  /** Whom each voted for, by number and term. */
  readonly #voted = new Map<string, MemberId>();
  readonly #split_terms = new Set<number>();
  readonly #transfers = new Map<number, Transfer>();
  /** Who was told to campaign, by number and term. */
  readonly #told = new Set<string>();
  #tells: Told | null = null;
  #handed_over = false;

  constructor(world: World) {
    this.#world = world;
  }

  sent(env: SimProcess, to: MemberId, bytes: Uint8Array): void {
    const w = this.#world;
    const member = w.members.get(env.id);
    const running = member?.running;
    if (member !== undefined && w.knobs.relays !== null) judgeRelayed(w, member, bytes);
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
        if (!frame.pre) {
          this.#candidate(frame.from, frame.term);
          this.#votes(frame.from, frame.from, frame.term);
        }
        // Whoever says that the leader sent it must have been sent, in that term (thesis, section 4.2.3).
        if (frame.transfer && !this.#told.has(`${frame.from} ${frame.term - 1}`))
          w.oracle.fail(`member ${frame.from} campaigns in term ${frame.term} as if it was told to`);
        if (w.oracle.configuration_index > 0 && this.#isRemoved(frame.from))
          w.marks.hit('removed member still campaigns');
        break;
      case 'vote-reply':
        if (frame.granted && !frame.pre) this.#votes(frame.from, to, frame.term);
        break;
      case 'snapshot-offer':
        this.#transfers.set(frame.transfer, { from: frame.from, to });
        w.oracle.boundary(frame.from, frame.meta);
        if (frame.meta.configuration.voters_outgoing.length > 0) w.marks.hit('snapshot sent while joint');
        break;
      case 'snapshot-ack':
        if (frame.state === 'done' || frame.state === 'failed') this.#transfers.delete(frame.transfer);
        break;
    }
  }

  /** Whether somebody was told to campaign since this was asked last. */
  takeHandedOver(): boolean {
    const handed_over = this.#handed_over;
    this.#handed_over = false;
    return handed_over;
  }

  /** The term in which `id` told somebody to campaign since this was asked last; 0: it did not. */
  takeTelling(id: MemberId): number {
    if (this.#tells?.from !== id) return 0;
    const { term } = this.#tells;
    this.#tells = null;
    return term;
  }

  /** A snapshot is on its way from or to this member. */
  inTransfer(id: MemberId): boolean {
    for (const { from, to } of this.#transfers.values()) if (from === id || to === id) return true;
    return false;
  }

  /** Just before a process ends: what it sent or received ends with it. */
  ends(id: MemberId): void {
    for (const [transfer, { from, to }] of this.#transfers) {
      if (from !== id && to !== id) continue;
      this.#world.marks.hit(`snapshot interrupted: ${from === id ? 'sender' : 'receiver'} died`);
      this.#transfers.delete(transfer);
    }
  }

  /** `id` leads from now on: what others sent is over. */
  leads(id: MemberId): void {
    for (const [transfer, { from }] of this.#transfers) {
      if (from === id) continue;
      this.#world.marks.hit('snapshot interrupted: lead changed');
      this.#transfers.delete(transfer);
    }
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
      this.#world.marks.hit('vote split');
    }
  }

  /** One vote a member and term, through all its lives (thesis, section 3.4). A candidate votes for itself. */
  #votes(id: MemberId, candidate: MemberId, term: number): void {
    const key = `${id} ${term}`;
    const known = this.#voted.get(key);
    if (known === undefined) this.#voted.set(key, candidate);
    else if (known !== candidate)
      this.#world.oracle.fail(`member ${id} votes for ${known} and for ${candidate} in term ${term}`);
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
}
