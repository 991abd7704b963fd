/**
 * Applying a command to a draft: which function is responsible for which command.
 *
 * Pure: the outcome depends on the draft and the command alone. Throws `Refused`; the caller drops the draft then,
 * so a command never takes effect in part, however deeply batches are nested.
 */
import { applyClusterDestroy, applyClusterInit, applyClusterSet } from './apply-cluster.ts';
import { applyGroupSet } from './apply-group.ts';
import {
  applyInstanceAdd,
  applyInstanceOwner,
  applyInstanceRemove,
  applyInstanceSet,
} from './apply-instance.ts';
import {
  applyJobArchive,
  applyJobCancel,
  applyJobEnd,
  applyJobHold,
  applyJobPriority,
  applyJobStart,
  applyJobSubmit,
} from './apply-job.ts';
import { applyNodeJoin } from './apply-join.ts';
import {
  applyNodeBoot,
  applyNodeHealth,
  applyNodeRemove,
  applyNodeRenew,
  applyNodeSet,
} from './apply-node.ts';
import { applyOpEnd, applyOpLog, applyOpStart } from './apply-op.ts';
import { applyClusterRecover, applyNodeSeen, applyNodeWord } from './apply-recover.ts';
import { applyStepBegin, applyStepEnd } from './apply-step.ts';
import { applyTags } from './apply-tags.ts';
import { applyTokenAdd, applyTokenRevoke } from './apply-token.ts';
import { checkCommand } from './command-schemas.ts';
import type { Command } from './commands.ts';
import type { Draft } from './draft.ts';
import { limits } from './limits.ts';
import { refuse } from './refused.ts';

/**
 * Applies a command that is plain data and was checked ({@link checkCommand}); those inside it are checked here, each
 * when its turn comes. Returns the command's value.
 */
export function applyCommand(draft: Draft, command: Command, depth = 0): unknown {
  if (command.type !== 'cluster-init' && command.type !== 'batch') draft.cluster();
  return dispatch(draft, command, (commands) =>
    commands.map((inner) => {
      if (depth + 1 >= limits.command_depth)
        refuse('invalid', `commands are nested deeper than ${limits.command_depth} levels`);
      return applyCommand(draft, checkCommand(inner), depth + 1);
    }),
  );
}

function dispatch(
  draft: Draft,
  command: Command,
  applyAll: (commands: readonly Command[]) => readonly unknown[],
): unknown {
  switch (command.type) {
    case 'cluster-init':
      return applyClusterInit(draft, command);
    case 'cluster-set':
      return applyClusterSet(draft, command);
    case 'cluster-destroy':
      return applyClusterDestroy(draft);
    case 'group-set':
      return applyGroupSet(draft, command);
    case 'cluster-recover':
      return applyClusterRecover(draft, command);
    case 'node-seen':
      return applyNodeSeen(draft, command);
    case 'node-word':
      return applyNodeWord(draft, command);
    case 'token-add':
      return applyTokenAdd(draft, command);
    case 'token-revoke':
      return applyTokenRevoke(draft, command);
    case 'node-join':
      return applyNodeJoin(draft, command);
    case 'node-set':
      return applyNodeSet(draft, command);
    case 'node-remove':
      return applyNodeRemove(draft, command);
    case 'node-boot':
      return applyNodeBoot(draft, command);
    case 'node-renew':
      return applyNodeRenew(draft, command);
    case 'node-health':
      return applyNodeHealth(draft, command);
    case 'instance-add':
      return applyInstanceAdd(draft, command);
    case 'instance-set':
      return applyInstanceSet(draft, command);
    case 'instance-owner':
      return applyInstanceOwner(draft, command);
    case 'instance-remove':
      return applyInstanceRemove(draft, command);
    case 'tags':
      return applyTags(draft, command);
    case 'job-submit':
      return applyJobSubmit(draft, command);
    case 'job-start':
      return applyJobStart(draft, command);
    case 'job-cancel':
      return applyJobCancel(draft, command);
    case 'job-hold':
      return applyJobHold(draft, command);
    case 'job-priority':
      return applyJobPriority(draft, command);
    case 'op-start':
      return applyOpStart(draft, command);
    case 'op-log':
      return applyOpLog(draft, command);
    case 'op-end':
      return applyOpEnd(draft, command);
    case 'job-end':
      return applyJobEnd(draft, command);
    case 'job-archive':
      return applyJobArchive(draft, command);
    case 'step-begin':
      return applyStepBegin(draft, command);
    case 'step-end':
      return applyStepEnd(draft, command, applyAll);
    case 'batch':
      return applyAll(command.commands);
    default:
      return command satisfies never;
  }
}
