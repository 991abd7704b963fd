/**
 * What the choice of voters is made from, and the plain questions one may ask of it. Everything is a value: the deciders
 * of this folder read no clock and remember nothing. All durations were measured on the leader's own clock.
 */
import type { Configuration, MemberId } from '../../consensus/types.ts';

export interface VoterNode {
  readonly member: MemberId;
  readonly name: string;
  readonly master_capable: boolean;
  readonly vm_capable: boolean;
  readonly master_candidate: boolean;
  readonly offline: boolean;
  readonly drained: boolean;
  /** Failure domains that it is in (domains.ts). */
  readonly domains: readonly string[];
  /** Why else it should not vote, in words (damaged storage, a slow disk, a bad clock); '' for nothing of the kind. */
  readonly trouble: string;
}

/** How the leader sees another member. */
export interface MemberProgress {
  /** It was heard within an election timeout and its connection is up. */
  readonly active: boolean;
  /** Entries that it lacks; Infinity when it is not known to have any, or needs a snapshot. */
  readonly lag: number;
  /** Since when it has not been active; 0 while it is. */
  readonly silent_for_ms: number;
  /** For how long it has been active and caught up without a break; 0 while it is not. */
  readonly stable_for_ms: number;
}

export interface VoterLimits {
  /** A learner is caught up when it lacks no more entries than this. */
  readonly caught_up_entries: number;
  /** A learner gets a vote after it was caught up for so long without a break. */
  readonly stable_ms: number;
  /** A voter that is silent for longer is replaced. */
  readonly replace_after_ms: number;
  /** The least time between two changes of the voters. */
  readonly between_ms: number;
}

export interface VoterView {
  readonly self: MemberId;
  readonly configuration: Configuration;
  readonly nodes: readonly VoterNode[];
  /** Of the other members. */
  readonly progress: ReadonlyMap<MemberId, MemberProgress>;
  readonly candidate_pool_size: number;
  /** Since the last change of the voters, or since this leader began if it made none. */
  readonly since_change_ms: number;
  /** Since this leader began. */
  readonly leads_for_ms: number;
  readonly limits: VoterLimits;
}

export const most_voters = 7;

/**
 * The patience that fits a lease: 30 s, 60 s and 10 s with the default lease of 10 s, shorter in a lab with short leases.
 * @param lease_ms L of docs/ha.md
 */
export function voterLimits(lease_ms: number): VoterLimits {
  return {
    caught_up_entries: 250,
    stable_ms: 3 * lease_ms,
    replace_after_ms: 6 * lease_ms,
    between_ms: lease_ms,
  };
}

/** The largest odd number that the pool and the hosts that may vote allow; at least 1. */
export function voterTarget(capable: number, candidate_pool_size: number): number {
  const most = Math.max(1, Math.min(capable, candidate_pool_size, most_voters));
  return most % 2 === 1 ? most : most - 1;
}

/** The questions, with the nodes looked up once. */
export class VoterFacts {
  readonly view: VoterView;
  readonly #nodes: ReadonlyMap<MemberId, VoterNode>;

  constructor(view: VoterView) {
    this.view = view;
    this.#nodes = new Map(view.nodes.map((node) => [node.member, node]));
  }

  node(id: MemberId): VoterNode | undefined {
    return this.#nodes.get(id);
  }

  name(id: MemberId): string {
    return this.node(id)?.name ?? `member ${id}`;
  }

  /** Odd; counts every host that may vote, in whatever state it is: a loss alone never shrinks the group. */
  get target(): number {
    const capable = this.view.nodes.filter((node) => node.master_capable).length;
    return voterTarget(capable, this.view.candidate_pool_size);
  }

  /** May not vote under any circumstances: its vote is taken even if nobody else can have it. In words, or ''. */
  barred(id: MemberId): string {
    const node = this.node(id);
    if (node === undefined) return 'is not in the cluster any more';
    return node.master_capable ? '' : 'is not master_capable';
  }

  /** Should not vote if somebody better can: in words, or ''. */
  unfit(id: MemberId): string {
    const barred = this.barred(id);
    if (barred !== '') return barred;
    const node = this.node(id);
    if (node?.offline) return 'is marked offline';
    if (node?.drained) return 'is drained';
    if (node !== undefined && node.trouble !== '') return node.trouble;
    if (this.isLost(id)) {
      const silent_s = Math.round((this.view.progress.get(id)?.silent_for_ms ?? 0) / 1000);
      return `has been silent for ${silent_s} s`;
    }
    return '';
  }

  isLive(id: MemberId): boolean {
    return id === this.view.self || this.view.progress.get(id)?.active === true;
  }

  isLost(id: MemberId): boolean {
    const silent_for_ms = this.view.progress.get(id)?.silent_for_ms ?? 0;
    return !this.isLive(id) && silent_for_ms >= this.view.limits.replace_after_ms;
  }

  /** Silent, not for long enough to call it lost, and nothing else is known of it. */
  isSuspect(id: MemberId): boolean {
    return !this.isLive(id) && this.unfit(id) === '';
  }

  /** Answers and has nearly all of the log. */
  isCaughtUp(id: MemberId): boolean {
    const progress = this.view.progress.get(id);
    return progress?.active === true && progress.lag <= this.view.limits.caught_up_entries;
  }

  isWitness(id: MemberId): boolean {
    return this.node(id)?.vm_capable === false;
  }

  isStable(id: MemberId, for_ms = this.view.limits.stable_ms): boolean {
    return this.isCaughtUp(id) && (this.view.progress.get(id)?.stable_for_ms ?? 0) >= for_ms;
  }
}
