/**
 * Guest verbs. A start looks at the node's own applied state, not at what it was told: it happens only if the
 * configuration names this node, this boot and the epoch of the call, under a live lease (docs/ha.md, rule 8).
 */
import { join } from 'node:path';
import type { Instance, Params } from '../../config/model.ts';
import { fillBeParams, fillOsParams } from '../../config/params.ts';
import { hypervisorOf, storageOf } from '../drivers.ts';
import { diskSpecs, type FilledParams, guestSpec } from '../guest-spec.ts';
import { type Actions, type ActionWorld, instanceOf } from './types.ts';

/** Longest that an OS definition's create script may take. */
const os_create_timeout_ms = 60 * 60 * 1000;

async function diskPaths(world: ActionWorld, instance: Instance): Promise<readonly string[]> {
  const paths: string[] = [];
  for (const spec of diskSpecs(world.state, instance)) {
    const info = await storageOf(world.drivers, instance.disk_template).info(spec);
    if (!info.exists) throw new Error(`disk ${spec.index} of ${instance.name} is missing: ${info.path}`);
    paths.push(info.path);
  }
  return paths;
}

function checkOwner(world: ActionWorld, instance: Instance, epoch: number): void {
  const { owner } = instance;
  if (owner.node !== world.node_uuid)
    throw new Error(`${instance.name} belongs to node ${owner.node}, not to this one`);
  if (owner.boot !== world.boot) {
    throw new Error(
      `${instance.name} was given to boot ${owner.boot} of this node, which is now in boot ${world.boot}`,
    );
  }
  if (owner.epoch !== epoch)
    throw new Error(`${instance.name} is under epoch ${owner.epoch}, the call was for ${epoch}`);
}

export const startInstance: Actions['instance.start'] = async (world, args) => {
  const instance = instanceOf(world, args.instance);
  checkOwner(world, instance, args.epoch);
  const refusal = world.mayStart();
  if (refusal) throw new Error(`${instance.name} may not start here now: ${refusal}`);
  const paths = await diskPaths(world, instance);
  const spec = guestSpec(world.state, instance, args.hvparams, paths);
  // The configuration may have moved on while the disks were looked up.
  checkOwner(world, instanceOf(world, args.instance), args.epoch);
  await hypervisorOf(world.drivers, instance.hypervisor).start(spec, { paused: args.paused });
  return null;
};

export const stopInstance: Actions['instance.stop'] = async (world, args) => {
  const driver = hypervisorOf(world.drivers, args.hypervisor);
  const guest = (await driver.list()).find((candidate) => candidate.name === args.name);
  if (guest && guest.uuid !== args.instance) return { was_running: false };
  // Its keeper may have ended it while the agent was away: its taps and sockets are there still.
  await driver.stop(args.name, guest ? args.timeout_ms : 0);
  return { was_running: guest !== undefined };
};

export const resetInstance: Actions['instance.reset'] = async (world, args) => {
  const driver = hypervisorOf(world.drivers, args.hypervisor);
  const guest = (await driver.list()).find((candidate) => candidate.name === args.name);
  if (!guest || guest.uuid !== args.instance) throw new Error(`${args.name} does not run here`);
  await driver.reset(args.name);
  return null;
};

export const cleanupInstance: Actions['instance.cleanup'] = async (world, args) => {
  const driver = hypervisorOf(world.drivers, args.hypervisor);
  const guest = (await driver.list()).find((candidate) => candidate.name === args.name);
  // Another instance of the same name may run by now: it is not ours to end.
  if (guest && guest.uuid !== args.instance) return null;
  if (guest) await driver.stop(args.name, 0);
  await driver.cleanup(args.name);
  return null;
};

/** Parameters as a script's environment takes them; null: not set. */
function asText(params: Params): Record<string, string> {
  const text: Record<string, string> = {};
  for (const [key, value] of Object.entries(params)) if (value !== null) text[key] = String(value);
  return text;
}

export const createOs: Actions['os.create'] = async (world, args, ctx) => {
  const instance = instanceOf(world, args.instance);
  const cluster = world.state.get('cluster', 'cluster');
  if (!cluster) throw new Error('this host has no cluster configuration');
  const paths = await diskPaths(world, instance);
  const no_overrides: FilledParams = {};
  let lines = 0;
  await world.drivers.os.create(
    {
      guest: guestSpec(world.state, instance, no_overrides, paths),
      os: instance.os,
      osparams: { ...asText(fillOsParams(cluster, instance)), ...args.osparams },
      hypervisor: instance.hypervisor,
      disk_sizes_mib: diskSpecs(world.state, instance).map((disk) => disk.size),
      beparams: { ...fillBeParams(cluster, instance) },
      primary_node: world.state.get('nodes', instance.primary_node)?.name ?? '',
      reinstall: args.reinstall,
      log_file: join(world.log_dir, `os-create-${instance.os}-${instance.name}.log`),
      timeout_ms: os_create_timeout_ms,
    },
    (line) => {
      lines += 1;
      ctx.progress({ text: line.slice(0, 200), done: lines, total: null, unit: '', eta_s: null });
    },
    ctx.signal,
  );
  return null;
};
