/**
 * Who votes: a pure decider that compares the nodes of the configuration with the Raft group and names the one change
 * to make next, or none. One step at a time, joint where more than one voter changes, always towards an odd number.
 */
import type { Configuration, MemberChange } from '../consensus/types.ts';

export interface MembershipView {
  readonly self: number;
  readonly configuration: Configuration;
  /** `eligible`: may vote at all (master_capable). `offline`: an operator said so; it votes only if nobody better can. */
  readonly nodes: readonly {
    readonly member: number;
    readonly eligible: boolean;
    readonly offline: boolean;
  }[];
  /** Leader's progress: members that answer, and how many entries they lack. */
  readonly progress: ReadonlyMap<number, { readonly active: boolean; readonly lag: number }>;
  readonly candidate_pool_size: number;
  /** How long each member has been silent. */
  readonly silent_ms: ReadonlyMap<number, number>;
}

/** A learner is caught up when it lacks no more entries than this. */
export const caught_up_entries = 250;
/** A voter silent for longer is replaced by a healthy learner, if there is one. */
export const replace_after_ms = 60_000;
const most_voters = 7;

/** The largest odd number that the pool and the eligible nodes allow. */
export function voterTarget(eligible: number, candidate_pool_size: number): number {
  const most = Math.max(1, Math.min(eligible, candidate_pool_size, most_voters));
  return most % 2 === 1 ? most : most - 1;
}

/** The voters there should be: the leader, then voters in good health, then learners that are ready, then the silent. */
function desiredVoters(view: MembershipView): readonly number[] {
  const eligible = view.nodes.filter((node) => node.eligible);
  const is_eligible = new Set(eligible.map((node) => node.member));
  const offline = new Set(eligible.filter((node) => node.offline).map((node) => node.member));
  const well = (id: number) => !offline.has(id) && (view.silent_ms.get(id) ?? 0) <= replace_after_ms;
  const ready = (id: number) => {
    const progress = view.progress.get(id);
    return well(id) && progress?.active === true && progress.lag <= caught_up_entries;
  };
  const others = view.configuration.voters.filter((id) => id !== view.self && is_eligible.has(id));
  const ranked = [
    view.self,
    ...others.filter(well),
    ...view.configuration.learners.filter((id) => is_eligible.has(id) && ready(id)),
    ...others.filter((id) => !well(id)),
  ];
  const chosen = ranked.slice(0, voterTarget(eligible.length, view.candidate_pool_size));
  return chosen.length % 2 === 1 ? chosen : chosen.slice(0, -1);
}

/** null: nothing to do now. Never removes or demotes the leader; a loss alone never shrinks the group. */
export function adjustVoters(view: MembershipView): readonly MemberChange[] | null {
  const { configuration } = view;
  if (configuration.voters_outgoing.length > 0) return null;
  const known = new Set(view.nodes.map((node) => node.member));
  const members = [...configuration.voters, ...configuration.learners];

  const newcomer = view.nodes.find((node) => !members.includes(node.member));
  if (newcomer) return [{ type: 'add-learner', id: newcomer.member }];
  const gone = members.find((id) => !known.has(id) && id !== view.self);
  if (gone !== undefined) return [{ type: 'remove', id: gone }];

  const desired = desiredVoters(view);
  const changes: MemberChange[] = [
    ...desired
      .filter((id) => !configuration.voters.includes(id))
      .map((id): MemberChange => ({ type: 'add-voter', id })),
    ...configuration.voters
      .filter((id) => !desired.includes(id))
      .map((id): MemberChange => ({ type: 'add-learner', id })),
  ];
  return changes.length > 0 ? changes : null;
}
