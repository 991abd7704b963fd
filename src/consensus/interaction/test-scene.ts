/**
 * For the interaction tests: what members say to each other as lines to compare, logs to begin with, and a network in
 * which every message takes a hop. All of it on top of {@link TestCluster}, which checks Raft's safety all along.
 * It must never reach into a core: whatever is set up here is something that a disk or a network may do.
 */
import assert from 'node:assert/strict';
import type { TestCluster } from '../test-cluster.ts';
import type { Entry, MemberId, Message } from '../types.ts';

/** A message as a line: who to whom in which term, and what it says. Entries are `index/term`, `c` marks a config entry. */
export function line(m: Message): string {
  const head = `${m.from}>${m.to} t${m.term}`;
  switch (m.type) {
    case 'vote':
      return `${head} ${m.pre ? 'pre-vote' : 'vote'}? log ${m.last_index}/${m.last_term}${m.transfer ? ' transfer' : ''}`;
    case 'vote-reply':
      return `${head} ${m.pre ? 'pre-vote' : 'vote'} ${m.granted ? 'yes' : 'no'}`;
    case 'append': {
      const entries = m.entries.map(
        ({ index, term, kind }) => `${kind === 'config' ? 'c' : ''}${index}/${term}`,
      );
      return `${head} after ${m.prev_index}/${m.prev_term} [${entries.join(' ')}] commit ${m.commit}`;
    }
    case 'append-reply':
      if (m.ok) return `${head} has ${m.index}`;
      return `${head} not after ${m.index}, perhaps ${m.hint_index}/${m.hint_term}`;
    case 'heartbeat':
      return `${head} heartbeat ${m.round} commit ${m.commit}`;
    case 'heartbeat-reply':
      return `${head} heard ${m.round}`;
    case 'snapshot':
      return `${head} snapshot ${m.meta.index}/${m.meta.term}`;
    case 'timeout-now':
      return `${head} campaign now`;
  }
}

/** Everything said from now on, as lines; `about` leaves out what a test is not about. */
export function recorded(cluster: TestCluster, about: (m: Message) => boolean = () => true): string[] {
  const lines: string[] = [];
  cluster.onSend = (m) => {
    if (about(m)) lines.push(line(m));
  };
  return lines;
}

/** Neither a heartbeat nor its answer. */
export function noHeartbeat(m: Message): boolean {
  return m.type !== 'heartbeat' && m.type !== 'heartbeat-reply';
}

/** Severs two members, in both directions. */
export function between(m: Message, a: MemberId, b: MemberId): boolean {
  return (m.from === a && m.to === b) || (m.from === b && m.to === a);
}

/** Commands of these terms, from index 1 on. */
export function logOf(terms: readonly number[]): Entry[] {
  return terms.map((term, i) => ({
    index: i + 1,
    term,
    kind: 'command',
    data: new TextEncoder().encode(`${i + 1}/${term}`),
  }));
}

/** `id` restarts with a log of these terms on its disk, in term `term`, with nothing known to be committed. */
export function seat(cluster: TestCluster, id: MemberId, terms: readonly number[], term: number): void {
  cluster.crash(id);
  const member = cluster.member(id);
  member.disk = logOf(terms);
  member.hard_state = { term, vote: 0, commit: 0 };
  cluster.restart(id);
}

/** What is on the disk of `id`, as `index/term`. */
export function diskOf(cluster: TestCluster, id: MemberId): string[] {
  return cluster.member(id).disk.map((entry) => `${entry.index}/${entry.term}`);
}

/** Only `id`'s time passes, until it asks for votes. */
export function campaign(cluster: TestCluster, id: MemberId): void {
  for (let tick = 0; cluster.status(id).role === 'follower'; tick++) {
    assert.ok(tick < 100, `member ${id} does not campaign`);
    cluster.tick(id);
  }
}

/** A network in which each message takes `hop_ticks`, and the members' time passes tick by tick. */
export class Site {
  readonly #cluster: TestCluster;
  readonly #hop_ticks: number;
  #under_way: { readonly m: Message; readonly due: number }[] = [];
  now = 0;

  constructor(cluster: TestCluster, hop_ticks: number) {
    this.#cluster = cluster;
    this.#hop_ticks = hop_ticks;
  }

  /** What is due arrives, and what follows from it at once is said. */
  arrive(): void {
    for (;;) {
      for (const [id] of this.#cluster.members) this.#cluster.pump(id);
      for (const m of this.#cluster.queue.splice(0))
        this.#under_way.push({ m, due: this.now + this.#hop_ticks });
      const due = this.#under_way.filter((of) => of.due <= this.now);
      if (due.length === 0) return;
      this.#under_way = this.#under_way.filter((of) => of.due > this.now);
      this.#cluster.queue.push(...due.map((of) => of.m));
      for (let left = due.length; left > 0; left--) this.#cluster.deliver();
    }
  }

  /** A tick of everybody. */
  tick(): void {
    this.now++;
    for (const [id] of this.#cluster.members) this.#cluster.tick(id);
  }
}

/** The leader's view of `id`: `probe 4`, state and match. */
export function flow(cluster: TestCluster, leader: MemberId, id: MemberId): string {
  const of = cluster.progress(leader).find((progress) => progress.id === id);
  return of === undefined ? 'none' : `${of.state} ${of.match}`;
}
