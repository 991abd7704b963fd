/**
 * The leader's side of relays (docs/design/relays.md): with many learners it feeds a few itself and has these feed the
 * others. It keeps flow control (`lead.progress`) for whom it feeds itself, and for the others what relays report.
 * It guarantees that votes, commits and rounds know nothing of relays: only learners hang below one, and whoever becomes
 * a voter, falls silent or falls behind a relay's log is fed by the leader from that moment.
 */
import type { CoreState } from './core-state.ts';
import { Progress } from './progress.ts';
import { branchesBelow, nextTree, root } from './relay-tree.ts';
import type { MemberId, MemberProgress, RelayBranch, RelayReport } from './types.ts';

export interface RelayLimits {
  /** Relays are used when there are more learners than this. */
  readonly over: number;
  /** Learners that the leader feeds itself, and that each relay feeds. */
  readonly fan_out: number;
}

/** Derivations in docs/design/relays.md. */
export const relay_limits: RelayLimits = { over: 20, fan_out: 16 };

/** A learner below a relay, as it was reported last. */
interface Relayed {
  match: number;
  round: number;
  /** The tick of the last report with a new round; of the move to this parent, before one. */
  heard_at: number;
}

type RelayedProgress = Omit<MemberProgress, 'learner' | 'faulty'>;

export interface Relays {
  tree: Map<MemberId, MemberId>;
  /** The members whose parent is not the leader: they have no flow control here. */
  readonly relayed: Map<MemberId, Relayed>;
  /** What each relay of the first level is told. */
  readonly below: Map<MemberId, readonly RelayBranch[]>;
  /** Parents that did not reach a child, and until which tick it is kept from them: `child>parent`. */
  readonly shunned: Map<string, number>;
  /** The commit index at the last heartbeats, oldest first. */
  readonly commits: number[];
}

/** A member may miss this many heartbeats of the leader before it counts as silent here. */
const direct_heartbeats = 3;
/** Each level adds one until its answer is known here; beyond that as many may be lost as of the leader's own. */
const relayed_heartbeats = 6;
/** For so many election timeouts a child is kept from a parent that did not reach it. */
const shun_timeouts = 15;

export function noRelays(): Relays {
  return { tree: new Map(), relayed: new Map(), below: new Map(), shunned: new Map(), commits: [] };
}

/** Before each heartbeat to everybody: plans anew, and takes over whom no relay reaches. */
export function planRelays(s: CoreState): void {
  const { relays } = s.lead;
  const { over, fan_out } = limitsOf(s);
  relays.commits.push(s.commit);
  if (relays.commits.length > relayed_heartbeats) relays.commits.shift();
  const wanted = s.configuration.learners.length > over;
  if (!wanted && relays.tree.size === 0) return;
  shunSilent(s);
  const learners = wanted ? s.configuration.learners.filter((id) => mayBePlaced(s, id)) : [];
  const late = relays.commits[0] ?? 0;
  follow(
    s,
    nextTree(relays.tree, {
      learners,
      fan_out,
      mayRelay: (id) => matchHeard(s, id) >= late,
      avoids: (child, parent) => relays.shunned.has(`${child}>${parent}`),
    }),
  );
}

/** What a relay says of those below it. Only news counts: a round that it had not answered before. */
export function takeReports(s: CoreState, reports: readonly RelayReport[]): void {
  for (const { id, match, round } of reports) {
    const known = s.lead.relays.relayed.get(id);
    if (known === undefined || round <= known.round || round > s.lead.rounds.begun) continue;
    known.round = round;
    known.heard_at = s.now;
    known.match = Math.max(known.match, Math.min(match, s.log.lastIndex));
  }
}

/** The connection to a member closed, or it is no learner any more: the leader feeds it itself from now on. */
export function takeBack(s: CoreState, id: MemberId): void {
  const { relays, progress } = s.lead;
  relays.tree.delete(id);
  const known = relays.relayed.get(id);
  if (known === undefined) return;
  relays.relayed.delete(id);
  // Flow control begins anew where the reports end; `match` waits for its own word, so that no commit rests on a report.
  const next = Math.min(known.match, s.log.lastIndex) + 1;
  const own = new Progress(id, next, known.heard_at, s.options);
  own.reported = known.match;
  progress.set(id, own);
}

/** For the status: those below a relay, as they were reported last. */
export function relayedProgress(s: CoreState): RelayedProgress[] {
  const { relayed, tree } = s.lead.relays;
  return [...relayed].map(([id, { match, heard_at }]) => {
    const active = s.now - heard_at < s.options.election_ticks && !s.faulty.has(id);
    return { id, match, state: 'replicate', active, via: tree.get(id)! };
  });
}

/** The members of the configuration in effect have changed. Learners stay where they are, others are the leader's own. */
export function followMembers(s: CoreState, members: ReadonlySet<MemberId>): void {
  const { relays, progress } = s.lead;
  const learners = new Set(s.configuration.learners);
  for (const id of [...relays.tree.keys()]) if (!learners.has(id)) takeBack(s, id);
  for (const id of [...progress.keys()]) if (!members.has(id)) progress.delete(id);
}

function patience(s: CoreState, heartbeats: number): number {
  return heartbeats * s.options.heartbeat_ticks;
}

function shunSilent(s: CoreState): void {
  const { tree, relayed, shunned } = s.lead.relays;
  for (const [pair, until] of shunned) if (s.now > until) shunned.delete(pair);
  for (const [id, { heard_at }] of [...relayed]) {
    if (s.now - heard_at <= patience(s, relayed_heartbeats)) continue;
    shunned.set(`${id}>${tree.get(id)}`, s.now + shun_timeouts * s.options.election_ticks);
    takeBack(s, id);
  }
}

/** Those in their place keep it while they are heard; others must be sound, and know that they are learners. */
function mayBePlaced(s: CoreState, id: MemberId): boolean {
  if (s.faulty.has(id)) return false;
  const { progress, relays } = s.lead;
  if (relays.relayed.has(id)) return true;
  const own = progress.get(id);
  if (own === undefined || own.state === 'snapshot') return false;
  if (s.now - own.heard_at > patience(s, direct_heartbeats)) return false;
  if (relays.tree.has(id)) return true;
  const settled = s.configs.current_index <= s.commit && own.match >= s.configs.current_index;
  return settled && own.state === 'replicate' && own.match >= (relays.commits[0] ?? 0);
}

function matchHeard(s: CoreState, id: MemberId): number {
  return s.lead.relays.relayed.get(id)?.match ?? s.lead.progress.get(id)?.match ?? 0;
}

/** Puts a tree into force. */
function follow(s: CoreState, tree: Map<MemberId, MemberId>): void {
  const { relays, progress, rounds } = s.lead;
  const before = relays.tree;
  for (const id of [...relays.relayed.keys()]) if ((tree.get(id) ?? root) === root) takeBack(s, id);
  for (const [id, parent] of tree) {
    if (parent === root || before.get(id) === parent) continue;
    relays.relayed.set(id, { match: matchHeard(s, id), round: rounds.begun, heard_at: s.now });
    progress.delete(id);
  }
  relays.tree = tree;
  relays.below.clear();
  for (const { id, below } of branchesBelow(tree, root)) if (below.length > 0) relays.below.set(id, below);
}

function limitsOf(s: CoreState): RelayLimits {
  return s.options.relays ?? relay_limits;
}
