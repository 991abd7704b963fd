/**
 * The pure arithmetic of consensus, for those outside who count votes or plan changes: conformance tests, the decider
 * that chooses voters, `cluster verify`. Everything here is a function of its arguments.
 */
export {
  configurationOf,
  decodeConfiguration,
  empty_configuration,
  encodeConfiguration,
  isJoint,
  isVoter,
  membersOf,
} from './configuration.ts';
export { InvariantError } from './invariant.ts';
export { type ChangeResult, enterJoint, leaveJoint, planChange, simpleChange } from './membership.ts';
export { majorityReached, majorityVote, quorumReached, quorumVote, type VoteResult } from './quorum.ts';
