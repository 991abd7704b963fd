/**
 * Hurting a host of a lab: power, cable, freeze. Each act is recorded first, so that `up` and `down` know of it, and
 * can be repeated.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from '../exit-status.ts';
import {
  continueHost,
  killHost,
  packageRoot,
  removeGroups,
  startHost,
  stopHost,
  waitForAgent,
} from './host.ts';
import type { Lab } from './lab.ts';
import type { NodeLayout } from './layout.ts';
import { resetHostNetwork, setCut, setPort } from './network.ts';
import { isAlive } from './proc.ts';
import { type Cut, loadState, machineBootId, newBootId, saveState } from './record.ts';

/** Power off: the cable first, so that no dying process says goodbye; then every process of the host, at once. */
export async function labPowerOff(lab: Lab, name: string): Promise<void> {
  const node = lab.node(name);
  const state = loadState(node);
  saveState(node, { ...state, power: 'off', frozen: false });
  await setPort(lab.record, node, false);
  await killHost(node);
  await resetHostNetwork(node);
  await removeGroups(node);
  // What a real host has in memory only.
  rmSync(node.run_dir, { recursive: true, force: true });
  newBootId(node);
  saveState(node, { ...state, power: 'off', keeper: null, frozen: false });
}

/** Power on, or a new keeper where only that died; resolves when the agent answers. */
export async function labPowerOn(lab: Lab, name: string, daemon?: readonly string[]): Promise<void> {
  const node = lab.node(name);
  const state = loadState(node);
  if (state.power === 'on' && state.keeper !== null && isAlive(state.keeper)) return;
  saveState(node, { ...state, power: 'on' });
  if (lab.record.namespaces) await setCut(lab.record, node, state.cut, true);
  const keeper = await startHost(node, daemon ?? [join(packageRoot(), 'bin', 'skeind')]);
  saveState(node, { ...state, power: 'on', keeper, frozen: false, machine_boot_id: machineBootId() });
  await waitForAgent(node, keeper);
}

function needsNetwork(lab: Lab, what: string): void {
  if (!lab.record.namespaces) {
    throw new CliError(
      `${what} needs network namespaces, and this lab has none`,
      'skein lab down, then up as root',
    );
  }
}

async function changeCut(lab: Lab, node: NodeLayout, cut: Cut): Promise<void> {
  const state = loadState(node);
  saveState(node, { ...state, cut });
  await setCut(lab.record, node, cut, state.power === 'on');
}

/** `in`: nothing reaches the host; `out`: nothing it sends arrives; `both`: its cable is out. */
export async function labCut(lab: Lab, name: string, cut: Exclude<Cut, 'none'> = 'both'): Promise<void> {
  needsNetwork(lab, 'cut');
  await changeCut(lab, lab.node(name), cut);
}

export async function labHeal(lab: Lab, name: string): Promise<void> {
  needsNetwork(lab, 'heal');
  await changeCut(lab, lab.node(name), 'none');
}

/** Stops every process of the host; its kernel goes on answering. Answers how many processes. */
export function labFreeze(lab: Lab, name: string): number {
  const node = lab.node(name);
  saveState(node, { ...loadState(node), frozen: true });
  return stopHost(node);
}

export function labThaw(lab: Lab, name: string): number {
  const node = lab.node(name);
  const count = continueHost(node);
  saveState(node, { ...loadState(node), frozen: false });
  return count;
}
