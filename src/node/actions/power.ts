/**
 * Verbs that take a host down. Both name the boot that is to end: done again after a crash, they find that it has ended
 * and leave the host alone.
 */
import type { Actions } from './types.ts';

export const rebootNode: Actions['node.reboot'] = async (world, { boot }) => {
  if (world.boot > boot) return { rebooted: true };
  const name = world.state.get('nodes', world.node_uuid)?.name ?? '';
  await world.drivers.power.reboot(name);
  return { rebooted: false };
};

export const powerCycleNode: Actions['node.power-cycle'] = async (world, { program, node, boot }) => {
  const target = world.state.get('nodes', node);
  if (target === undefined) throw new Error(`node ${node} is not in the configuration any more`);
  if (target.boot > boot) return { cycled: false };
  await world.drivers.power.powerCycle(program, target.name);
  return { cycled: true };
};
