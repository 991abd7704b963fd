/**
 * Which configuration follows from which changes (thesis, chapter 4). Pure: a refused change leaves everything as it was.
 * Three transitions: a simple one that changes at most one voter, into a joint configuration, and out of it.
 */
import { isJoint, sorted } from './configuration.ts';
import type { Configuration, MemberChange, MemberId } from './types.ts';

export type ChangeResult =
  | { readonly ok: true; readonly configuration: Configuration }
  | { readonly ok: false; readonly error: string };

const too_many = 'more than one voter changed without entering joint config';

interface Draft {
  readonly voters: Set<MemberId>;
  readonly voters_outgoing: Set<MemberId>;
  readonly learners: Set<MemberId>;
  readonly learners_next: Set<MemberId>;
}

/** Changes at most one voter, and any number of learners. */
export function simpleChange(from: Configuration, changes: readonly MemberChange[]): ChangeResult {
  if (isJoint(from)) return refused("can't apply simple config change in joint config");
  const draft = draftOf(from);
  apply(draft, changes);
  if (draft.voters.size === 0) return refused('removed all voters');
  const before = new Set(from.voters);
  if (before.symmetricDifference(draft.voters).size > 1) return refused(too_many);
  return accepted(draft, from.auto_leave);
}

/** Any number of changes; from now on both the old and the new voters must agree, each by majority. */
export function enterJoint(
  from: Configuration,
  changes: readonly MemberChange[],
  auto_leave: boolean,
): ChangeResult {
  if (isJoint(from)) return refused('config is already joint');
  if (from.voters.length === 0) return refused("can't make a zero-voter config joint");
  const draft = draftOf({ ...from, voters_outgoing: from.voters });
  apply(draft, changes);
  if (draft.voters.size === 0) return refused('removed all voters');
  return accepted(draft, auto_leave);
}

/** Drops the outgoing half; its demoted voters become learners now. */
export function leaveJoint(from: Configuration): ChangeResult {
  if (!isJoint(from)) return refused("can't leave a non-joint config");
  const draft = draftOf({
    ...from,
    voters_outgoing: [],
    learners: [...from.learners, ...from.learners_next],
    learners_next: [],
  });
  return accepted(draft, false);
}

/** The smallest transition that makes all `changes`: a simple one if it will do, otherwise a joint one that ends itself. */
export function planChange(from: Configuration, changes: readonly MemberChange[]): ChangeResult {
  const simple = simpleChange(from, changes);
  return !simple.ok && simple.error === too_many ? enterJoint(from, changes, true) : simple;
}

function apply(draft: Draft, changes: readonly MemberChange[]): void {
  for (const change of changes) {
    const { id } = change;
    if (id === 0) continue;
    switch (change.type) {
      case 'add-voter':
        draft.learners.delete(id);
        draft.learners_next.delete(id);
        draft.voters.add(id);
        break;
      case 'add-learner':
        draft.voters.delete(id);
        // A voter of the outgoing half may not be a learner at the same time: it becomes one on leaving.
        if (draft.voters_outgoing.has(id)) draft.learners_next.add(id);
        else draft.learners.add(id);
        break;
      case 'remove':
        draft.voters.delete(id);
        draft.learners.delete(id);
        draft.learners_next.delete(id);
        break;
    }
  }
}

function draftOf(from: Configuration): Draft {
  return {
    voters: new Set(from.voters),
    voters_outgoing: new Set(from.voters_outgoing),
    learners: new Set(from.learners),
    learners_next: new Set(from.learners_next),
  };
}

function accepted(draft: Draft, auto_leave: boolean): ChangeResult {
  return {
    ok: true,
    configuration: {
      voters: sorted(draft.voters),
      voters_outgoing: sorted(draft.voters_outgoing),
      learners: sorted(draft.learners),
      learners_next: sorted(draft.learners_next),
      auto_leave,
    },
  };
}

function refused(error: string): ChangeResult {
  return { ok: false, error };
}
