/**
 * What others are told about a member's role, and when it changed.
 */
import type { CoreStatus, MemberId, Role } from './types.ts';

export interface RoleView {
  readonly role: Role;
  readonly leader: MemberId;
  readonly term: number;
  /** Leads, and has applied an entry of its own term: all that came before is applied, too. */
  readonly established: boolean;
}

/** @param applied_term the term of the last applied entry */
export function roleView({ role, leader, term }: CoreStatus, applied_term: number): RoleView {
  return { role, leader, term, established: role === 'leader' && applied_term === term };
}

export function sameView(a: RoleView, b: RoleView): boolean {
  return a.role === b.role && a.leader === b.leader && a.term === b.term && a.established === b.established;
}

/** Whether `now` is the lead that `before` was, without a break. */
export function sameLead(before: RoleView, now: RoleView): boolean {
  return before.role === 'leader' && now.role === 'leader' && before.term === now.term;
}
