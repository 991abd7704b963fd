/**
 * Who votes: compares the nodes with the Raft group and says the one thing to do next, and why. Pure.
 *
 * It never leaves an even number of voters as a final state, never takes the leader's vote before the lead is handed
 * over, never makes the group smaller because of a loss, and moves no vote that has no reason to move: a voter that comes
 * back from a loss finds its vote given away and stays a learner, unless a stand-by has it. docs/voters.md has the rules in words.
 */
import type { MemberId } from '../../consensus/types.ts';
import { bestHeir, bestLearner, largestDomain, weakestVoter } from './choose.ts';
import { change, names, none, type VoterStep } from './step.ts';
import { VoterFacts, type VoterView } from './view.ts';

/** A rule: null when it has nothing to say. */
type Rule = (facts: VoterFacts) => VoterStep | null;

/** In this order. Those before `pace` do not wait for anything: they end a state that nobody wants to stay in. */
const rules: readonly Rule[] = [
  underWay,
  leaderUnfit,
  bootstrap,
  evenNumber,
  formerVoter,
  pace,
  barredVoter,
  surplus,
  unfitVoter,
  growth,
  standByYields,
  spread,
  witnessLeads,
];

/** What the leader should do next about who votes. */
export function adjustVoters(view: VoterView): VoterStep {
  const facts = new VoterFacts(view);
  for (const rule of rules) {
    const step = rule(facts);
    if (step !== null) return step;
  }
  return none(incomplete(facts));
}

/**
 * What to do next so that `member` leaves the group for good (`skein node remove`): an operator waits for it, so neither
 * pace nor patience counts. A leader that is to go hands over first; asked again there, it goes on. `none` with reason ''
 * when the member is not in the group.
 */
export function leaveStep(view: VoterView, member: MemberId): VoterStep {
  const facts = new VoterFacts({ ...view, nodes: view.nodes.filter((node) => node.member !== member) });
  const name = view.nodes.find((node) => node.member === member)?.name ?? `member ${member}`;
  const { voters, learners } = view.configuration;
  const under_way = underWay(facts);
  if (under_way !== null) return under_way;
  if (learners.includes(member))
    return { type: 'change', changes: [{ type: 'remove', id: member }], reason: `${name} leaves` };
  if (!voters.includes(member)) return none('');
  if (member === view.self) return leaderUnfit(facts) ?? none(`${name} leads, and nobody can take its place`);
  return takeVote(facts, member, `${name} leaves`, (id) => facts.isCaughtUp(id));
}

function underWay({ view }: VoterFacts): VoterStep | null {
  const { voters, voters_outgoing } = view.configuration;
  if (voters_outgoing.length > 0) return none('a change of the voters is under way');
  return voters.includes(view.self) ? null : none('the leader is on its way out of the group');
}

/** The lead first, then the vote; a lone voter gets a second one beside it to hand the lead to. */
function leaderUnfit(facts: VoterFacts): VoterStep | null {
  const { self, configuration } = facts.view;
  const unfit = facts.unfit(self);
  if (unfit === '') return null;
  const why = `${facts.name(self)} leads and ${unfit}`;
  const heir = bestHeir(facts);
  if (heir !== undefined)
    return { type: 'hand-over', to: heir, reason: `${why}: ${facts.name(heir)} takes over` };
  if (configuration.voters.length > 1) return null;
  const second = bestLearner(
    facts,
    fitLearners(facts).filter((id) => facts.isCaughtUp(id)),
    [],
  );
  if (second === undefined) return null;
  return change(facts, [second], [], `${why}: ${facts.name(second)} gets a vote to take over with`);
}

/** Nobody is missing, there are just too few: nothing to be patient about. */
function bootstrap(facts: VoterFacts): VoterStep | null {
  const { voters } = facts.view.configuration;
  const well = voters.every((id) => facts.isLive(id) && facts.unfit(id) === '');
  return well ? grow(facts, (id) => facts.isCaughtUp(id)) : null;
}

/** Left by a hand-over from a lone voter, or by a leader that died between two steps. */
function evenNumber(facts: VoterFacts): VoterStep | null {
  const { voters } = facts.view.configuration;
  if (voters.length % 2 === 1) return null;
  const drop = weakestVoter(facts, voters);
  if (drop === undefined) return null;
  const why = facts.unfit(drop) === '' ? 'the number of voters is even' : `it ${facts.unfit(drop)}`;
  return change(facts, [], [drop], `${facts.name(drop)} loses its vote: ${why}`);
}

/**
 * A number that no node has any more: its node was given another one. It counts for nothing, so that the vote need not
 * wait for long; but the group never gets smaller by it, since the node is coming back.
 */
function formerVoter(facts: VoterFacts): VoterStep | null {
  const { self, configuration } = facts.view;
  const nobodys = configuration.voters.filter((id) => id !== self && facts.node(id) === undefined);
  const former = weakestVoter(facts, nobodys);
  if (former === undefined) return null;
  const rest = configuration.voters.filter((id) => id !== former);
  if (rest.length % 2 === 0 && rest.length < facts.target) {
    const ready = fitLearners(facts).filter((id) => facts.isCaughtUp(id));
    if (bestLearner(facts, ready, rest) === undefined) return none(incomplete(facts));
  }
  const reason = `${facts.name(former)} ${facts.barred(former)}`;
  return takeVote(facts, former, reason, (id) => facts.isCaughtUp(id));
}

function pace(facts: VoterFacts): VoterStep | null {
  const { configuration, since_change_ms, limits } = facts.view;
  const suspects = configuration.voters.filter((id) => facts.isSuspect(id));
  if (suspects.length > 1) return none(`waits until it is clear what ails ${names(facts, suspects)}`);
  if (since_change_ms < limits.between_ms) return none('waits a while after the last change');
  return null;
}

function barredVoter(facts: VoterFacts): VoterStep | null {
  const { self, configuration } = facts.view;
  const barred = configuration.voters.filter((id) => id !== self && facts.barred(id) !== '');
  const first = weakestVoter(facts, barred);
  if (first === undefined) return null;
  const reason = `${facts.name(first)} ${facts.barred(first)}`;
  return takeVote(facts, first, reason, (id) => facts.isStable(id));
}

/** The pool became smaller, or the hosts that may vote became fewer. */
function surplus(facts: VoterFacts): VoterStep | null {
  const { voters } = facts.view.configuration;
  const { target } = facts;
  if (voters.length <= target) return null;
  const drop: MemberId[] = [];
  let left = voters;
  while (left.length > target) {
    const weakest = weakestVoter(facts, left);
    if (weakest === undefined) return null;
    drop.push(weakest);
    left = left.filter((id) => id !== weakest);
  }
  return change(
    facts,
    [],
    drop,
    `${target} are to vote, not ${voters.length}: ${names(facts, drop)} no more`,
  );
}

/** One at a time, by a swap: the group never has fewer voters meanwhile. */
function unfitVoter(facts: VoterFacts): VoterStep | null {
  const { self, configuration } = facts.view;
  const { voters } = configuration;
  const unfit = voters.filter((id) => id !== self && facts.unfit(id) !== '');
  const drop = weakestVoter(facts, unfit);
  if (drop === undefined) return null;
  const rest = voters.filter((id) => id !== drop);
  const stable = fitLearners(facts).filter((id) => facts.isStable(id));
  const add = bestLearner(facts, stable, rest);
  if (add === undefined) return null;
  return change(
    facts,
    [add],
    [drop],
    `${facts.name(drop)} ${facts.unfit(drop)}: ${facts.name(add)} votes instead`,
  );
}

function growth(facts: VoterFacts): VoterStep | null {
  return grow(facts, (id) => facts.isStable(id));
}

/**
 * `master_candidate=no` takes the vote, as in Ganeti, once a candidate is ready for it; a leader's after the lead. Not at
 * the price of a domain that holds a majority: `spread` would move it back.
 */
function standByYields(facts: VoterFacts): VoterStep | null {
  const { self, configuration, limits } = facts.view;
  const { voters } = configuration;
  if (!voters.every((id) => facts.isLive(id))) return null;
  const candidate = (id: MemberId) => facts.node(id)?.master_candidate === true;
  const drop = weakestVoter(
    facts,
    voters.filter((id) => id !== self && !candidate(id)),
  );
  const rest = voters.filter((id) => id !== (drop ?? self));
  const crowded = Math.max(largestDomain(facts, voters).votes, Math.floor(voters.length / 2));
  const ready = fitLearners(facts).filter(
    (id) =>
      candidate(id) &&
      facts.isStable(id, limits.replace_after_ms) &&
      largestDomain(facts, [...rest, id]).votes <= crowded,
  );
  const add = bestLearner(facts, ready, rest);
  if (add === undefined) return null;
  if (drop !== undefined)
    return change(
      facts,
      [add],
      [drop],
      `${facts.name(drop)} is no master candidate: ${facts.name(add)} votes instead`,
    );
  const heir = bestHeir(facts);
  if (candidate(self) || heir === undefined) return null;
  return {
    type: 'hand-over',
    to: heir,
    reason: `${facts.name(self)} leads and is no master candidate: ${facts.name(heir)} takes over`,
  };
}

/**
 * Votes leave a domain that holds a majority of them, if that ends with no such domain; then its loss no longer stops the
 * cluster. One vote a step, and only while nothing else is wrong.
 */
function spread(facts: VoterFacts): VoterStep | null {
  const { self, configuration, limits } = facts.view;
  const { voters } = configuration;
  if (!voters.every((id) => facts.isLive(id))) return null;
  let spare = fitLearners(facts).filter((id) => facts.isStable(id, limits.replace_after_ms));
  let now = voters;
  let first: VoterStep | null = null;
  for (;;) {
    const crowded = largestDomain(facts, now);
    if (2 * crowded.votes <= now.length) return first;
    const inside = (id: MemberId) => facts.node(id)?.domains.includes(crowded.domain) === true;
    const drop = weakestVoter(
      facts,
      now.filter((id) => inside(id) && id !== self),
    );
    const rest = now.filter((id) => id !== drop);
    const better = spare.filter((id) => largestDomain(facts, [...rest, id]).votes < crowded.votes);
    const add = bestLearner(facts, better, rest);
    if (drop === undefined || add === undefined) return null;
    first ??= change(
      facts,
      [add],
      [drop],
      `${crowded.votes} of ${now.length} votes are in ${crowded.domain}: ${facts.name(add)} votes instead of ${facts.name(drop)}`,
    );
    now = [...rest, add];
    spare = spare.filter((id) => id !== add);
  }
}

/** It is there to vote; the lead, and the master IP with it, belong on a host that was bought for work. */
function witnessLeads(facts: VoterFacts): VoterStep | null {
  const { self, configuration, leads_for_ms, limits } = facts.view;
  if (!facts.isWitness(self) || leads_for_ms < limits.stable_ms) return null;
  if (!configuration.voters.every((id) => facts.isLive(id))) return null;
  const heir = bestHeir(facts);
  if (heir === undefined || facts.isWitness(heir) || !facts.isStable(heir)) return null;
  return {
    type: 'hand-over',
    to: heir,
    reason: `${facts.name(self)} is a witness: ${facts.name(heir)} leads instead`,
  };
}

/** Up to the largest odd number that the target and those who are `ready` allow. */
function grow(facts: VoterFacts, ready: (id: MemberId) => boolean): VoterStep | null {
  const { voters } = facts.view.configuration;
  let spare = fitLearners(facts).filter(ready);
  const possible = Math.min(facts.target, voters.length + spare.length);
  const wanted = possible % 2 === 1 ? possible : possible - 1;
  const add: MemberId[] = [];
  while (voters.length + add.length < wanted) {
    const best = bestLearner(facts, spare, [...voters, ...add]);
    if (best === undefined) break;
    add.push(best);
    spare = spare.filter((id) => id !== best);
  }
  if (add.length === 0) return null;
  return change(facts, add, [], `${facts.target} are to vote: ${names(facts, add)} from now on`);
}

/** Takes the vote of `drop`; whoever is `ready` gets it, or else another vote goes too, so that the number stays odd. */
function takeVote(
  facts: VoterFacts,
  drop: MemberId,
  why: string,
  ready: (id: MemberId) => boolean,
): VoterStep {
  const rest = facts.view.configuration.voters.filter((id) => id !== drop);
  if (rest.length % 2 === 1) return change(facts, [], [drop], why);
  if (rest.length < facts.target) {
    const learners = fitLearners(facts);
    const add = bestLearner(facts, learners.filter(ready), rest);
    if (add !== undefined) return change(facts, [add], [drop], `${why}: ${facts.name(add)} votes instead`);
    const coming = learners.filter((id) => facts.isLive(id));
    if (coming.length > 0) return none(`${why}; waits for ${names(facts, coming)} to catch up`);
  }
  const other = weakestVoter(facts, rest);
  if (other === undefined) return none(`${why}; but nobody else can vote`);
  return change(
    facts,
    [],
    [drop, other],
    `${why}; ${facts.name(other)} no longer votes either, to keep it odd`,
  );
}

function fitLearners(facts: VoterFacts): readonly MemberId[] {
  return facts.view.configuration.learners.filter((id) => facts.unfit(id) === '');
}

/** What is missing although there is nothing to do about it. */
function incomplete(facts: VoterFacts): string {
  const { voters } = facts.view.configuration;
  const missing = voters
    .filter((id) => facts.unfit(id) !== '')
    .map((id) => `${facts.name(id)} ${facts.unfit(id)}, and nobody is ready to vote instead`);
  const suspect = voters
    .filter((id) => facts.isSuspect(id))
    .map((id) => `${facts.name(id)} is silent, not for long enough to be replaced`);
  const few =
    voters.length < facts.target ? [`${voters.length} of ${facts.target} vote: nobody else is ready`] : [];
  return [...missing, ...suspect, ...few].join('; ');
}
