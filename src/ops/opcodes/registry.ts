/** Every opcode of this version, by its name. */

import type { Opcode } from '../types.ts';
import { balanceRun } from './balance-run.ts';
import { clusterDestroy } from './cluster-destroy.ts';
import { clusterSetParams } from './cluster-set-params.ts';
import { clusterVerify } from './cluster-verify.ts';
import { groupSetParams } from './group-set-params.ts';
import { instanceCreate } from './instance-create.ts';
import { instanceFailover } from './instance-failover.ts';
import { instanceReboot } from './instance-reboot.ts';
import { instanceRemove } from './instance-remove.ts';
import { instanceSetParams } from './instance-set-params.ts';
import { instanceShutdown } from './instance-shutdown.ts';
import { instanceStartup } from './instance-startup.ts';
import { maintenanceRun } from './maintenance-run.ts';
import { nodeAdd } from './node-add.ts';
import { nodeEvacuate } from './node-evacuate.ts';
import { nodeRemove } from './node-remove.ts';
import { nodeSetParams } from './node-set-params.ts';
import { tagsDel, tagsGet, tagsSet } from './tags.ts';
import { testDelay } from './test-delay.ts';

/** Erases the parameters' type; sound, because `run` is only ever given what the same opcode's `parse` returned. */
function erased<P>(opcode: Opcode<P>): Opcode<unknown> {
  return opcode as Opcode<unknown>;
}

const all: readonly Opcode<unknown>[] = [
  erased(balanceRun),
  erased(clusterDestroy),
  erased(clusterSetParams),
  erased(clusterVerify),
  erased(groupSetParams),
  erased(instanceCreate),
  erased(instanceFailover),
  erased(instanceReboot),
  erased(instanceRemove),
  erased(instanceSetParams),
  erased(instanceShutdown),
  erased(instanceStartup),
  erased(maintenanceRun),
  erased(nodeAdd),
  erased(nodeEvacuate),
  erased(nodeRemove),
  erased(nodeSetParams),
  erased(tagsDel),
  erased(tagsGet),
  erased(tagsSet),
  erased(testDelay),
];

export const opcodes: ReadonlyMap<string, Opcode<unknown>> = new Map(
  all.map((opcode) => [opcode.id, opcode]),
);
