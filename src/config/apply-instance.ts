/**
 * Commands on instances. The rule of this file: an instance has one owner at any index, and every change of owner
 * raises the epoch and is conditional on the old one (docs/ha.md, node lease, rule 8).
 */
import { refuseUnseen } from './apply-recover.ts';
import type { Command, OwnerResult } from './commands.ts';
import { type Draft, touched } from './draft.ts';
import { limits } from './limits.ts';
import type { Instance, Node, Owner, OwnerChange } from './model.ts';
import { fillBeParams, withoutMemoryAlias } from './params.ts';
import { isToBeGuarded } from './protected.ts';
import { refuse, shown } from './refused.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

/** Templates whose data stays where it was made: the owner changes only with a copy of the data. */
const local_templates: ReadonlySet<string> = new Set(['file', 'plain']);

/** Creates instance and disks, owned under epoch 1. Value: the {@link Owner}. */
export function applyInstanceAdd(draft: Draft, command: Of<'instance-add'>): OwnerResult {
  const { instance, disks, time } = command;
  const cluster = draft.cluster();
  if (!cluster.enabled_hypervisors.includes(instance.hypervisor)) {
    refuse(
      'invalid',
      `hypervisor ${shown(instance.hypervisor)} is not enabled: expected ${cluster.enabled_hypervisors.join(' or ')}`,
    );
  }
  if (!cluster.enabled_disk_templates.includes(instance.disk_template)) {
    refuse(
      'invalid',
      `disk template ${shown(instance.disk_template)} is not enabled: expected ${cluster.enabled_disk_templates.join(' or ')}`,
    );
  }
  const beparams = withoutMemoryAlias(instance.beparams);
  checkBeParams(fillBeParams(cluster, { beparams }));
  checkNewNames(draft, instance);
  checkNewDisks(draft, command);

  const node = ownerNode(draft, instance.primary_node, command.boot);
  const owner: Owner = { node: node.uuid, boot: node.boot, epoch: 1 };
  const born = { serial_no: 1, ctime: time, mtime: time };
  const first: OwnerChange = {
    ...owner,
    time,
    from: null,
    evidence: { kind: 'create', text: 'created here' },
  };
  for (const disk of disks) draft.put('disks', disk.uuid, { ...disk, ...born });
  draft.put('instances', instance.uuid, {
    ...instance,
    ...born,
    tags: [...new Set(instance.tags)].sort(),
    beparams,
    owner,
    guarded: isGuarded(draft, instance, node, time),
    owner_log: [first],
  });
  return owner;
}

/** Parameter sets given replace the instance's own as a whole; `memory` stands for maxmem and minmem. Value: null. */
export function applyInstanceSet(draft: Draft, command: Of<'instance-set'>): null {
  const before = draft.instance(command.uuid);
  checkEpoch(before, command.if_epoch);
  const after: Instance = { ...before, ...command.changes };
  const beparams = withoutMemoryAlias(after.beparams);
  if (command.changes.beparams !== undefined) checkBeParams(fillBeParams(draft.cluster(), { beparams }));
  if (after.admin_state === 'offline' && before.admin_state === 'up') {
    refuse('invalid', `instance ${before.name} is up: expected it down before it is marked offline`);
  }
  draft.put('instances', before.uuid, touched({ ...after, beparams }, command.time));
  return null;
}

/** Value: the new {@link Owner}. */
export function applyInstanceOwner(draft: Draft, command: Of<'instance-owner'>): OwnerResult {
  const before = draft.instance(command.uuid);
  checkEpoch(before, command.if_epoch);
  refuseUnseen(draft, before.owner.node, command.evidence);
  if (command.evidence.kind === 'horizon' && !before.guarded) {
    refuse(
      'invalid',
      `instance ${before.name} is not guarded: its host may still run it however long it is silent; expected other evidence than silence`,
    );
  }
  const node = ownerNode(draft, command.node, command.boot);
  if (node.uuid !== before.owner.node && local_templates.has(before.disk_template)) {
    refuse(
      'invalid',
      `instance ${before.name} cannot change its node: its ${before.disk_template} disks are where they are`,
    );
  }
  const owner: Owner = { node: node.uuid, boot: node.boot, epoch: before.owner.epoch + 1 };
  const change: OwnerChange = {
    ...owner,
    time: command.time,
    evidence: command.evidence,
    from: before.owner,
  };
  const owner_log = [...before.owner_log, change].slice(-limits.owner_log);
  draft.put(
    'instances',
    before.uuid,
    touched(
      {
        ...before,
        primary_node: node.uuid,
        owner,
        guarded: isGuarded(draft, before, node, command.time),
        owner_log,
      },
      command.time,
    ),
  );
  return owner;
}

/** The instance and its disks. Value: null. */
export function applyInstanceRemove(draft: Draft, command: Of<'instance-remove'>): null {
  const instance = draft.instance(command.uuid);
  checkEpoch(instance, command.if_epoch);
  for (const disk of instance.disks) draft.delete('disks', disk);
  draft.delete('instances', instance.uuid);
  return null;
}

function checkEpoch(instance: Instance, if_epoch: number | null): void {
  if (if_epoch !== null && instance.owner.epoch !== if_epoch) {
    refuse('stale', `instance ${instance.name} is in epoch ${instance.owner.epoch}: expected ${if_epoch}`);
  }
}

/** A node that may own an instance, in that very boot: an epoch is good for one boot. */
function isGuarded(
  draft: Draft,
  instance: Pick<Instance, 'tags' | 'disk_template' | 'disks'>,
  node: Node,
  time: number,
): boolean {
  const disks = instance.disks.map((uuid) => draft.get('disks', uuid)).filter((disk) => disk !== undefined);
  const group = draft.get('groups', node.group) ?? null;
  return isToBeGuarded(draft.cluster(), instance, disks, group, draft.values('nodes'), time);
}

function ownerNode(draft: Draft, uuid: string, boot: number): Node {
  const node = draft.node(uuid);
  if (node.offline) refuse('denied', `node ${node.name} is offline`);
  if (!node.vm_capable) refuse('denied', `node ${node.name} is not vm_capable`);
  if (node.boot !== boot) refuse('stale', `node ${node.name} is in boot ${node.boot}: expected ${boot}`);
  return node;
}

function checkBeParams(filled: ReturnType<typeof fillBeParams>): void {
  const { maxmem, minmem, vcpus, ...rest } = filled;
  for (const [name, value] of Object.entries({ maxmem, minmem, vcpus, spindle_use: rest.spindle_use })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      refuse('invalid', `beparams.${name} is ${shown(value)}: expected a whole number of 1 or more`);
    }
  }
  if (minmem > maxmem) refuse('invalid', `beparams.minmem is ${minmem}: expected at most maxmem, ${maxmem}`);
  for (const name of ['auto_balance', 'always_failover'] as const) {
    if (typeof rest[name] !== 'boolean')
      refuse('invalid', `beparams.${name} is ${shown(rest[name])}: expected true or false`);
  }
  const known = ['auto_balance', 'always_failover', 'spindle_use'];
  for (const name of Object.keys(rest)) {
    if (!known.includes(name)) {
      refuse(
        'invalid',
        `unknown backend parameter ${shown(name)}: expected maxmem, minmem, memory, vcpus, ${known.join(', ')}`,
      );
    }
  }
}

function checkNewNames(draft: Draft, instance: Of<'instance-add'>['instance']): void {
  const macs = new Map(instance.nics.map((nic) => [nic.mac, nic]));
  if (macs.size !== instance.nics.length)
    refuse('exists', `two NICs of ${instance.name} have the same MAC address`);
  for (const other of draft.values('instances')) {
    if (other.name === instance.name) refuse('exists', `there is an instance ${instance.name} already`);
    if (other.uuid === instance.uuid)
      refuse('exists', `the uuid ${instance.uuid} is taken by instance ${other.name}`);
    for (const nic of other.nics) {
      if (macs.has(nic.mac))
        refuse('exists', `the MAC address ${nic.mac} is taken by instance ${other.name}`);
    }
  }
}

function checkNewDisks(draft: Draft, command: Of<'instance-add'>): void {
  const { instance, disks } = command;
  const listed = disks.map((disk) => disk.uuid);
  if (listed.length !== instance.disks.length || listed.some((uuid, at) => uuid !== instance.disks[at])) {
    refuse(
      'invalid',
      `instance.disks is ${shown(instance.disks)}: expected the uuids of the disks given, ${shown(listed)}`,
    );
  }
  if (new Set(listed).size !== listed.length)
    refuse('exists', `two disks of ${instance.name} have the same uuid`);
  if (instance.disk_template === 'diskless' && disks.length > 0) {
    refuse(
      'invalid',
      `instance ${instance.name} has ${disks.length} disks: expected none with the template diskless`,
    );
  }
  const places = new Set<string>();
  for (const disk of disks) {
    if (disk.instance !== instance.uuid)
      refuse('invalid', `disk ${disk.uuid} names the instance ${disk.instance}: expected ${instance.uuid}`);
    if (disk.dev_type !== instance.disk_template) {
      refuse(
        'invalid',
        `disk ${disk.uuid} is of type ${shown(disk.dev_type)}: expected ${instance.disk_template}`,
      );
    }
    if (draft.get('disks', disk.uuid) !== undefined)
      refuse('exists', `the uuid ${disk.uuid} is taken by another disk`);
    if (disk.logical_id.length === 0) refuse('invalid', `disk ${disk.uuid} has an empty logical_id`);
    places.add(JSON.stringify(disk.logical_id));
  }
  if (places.size !== disks.length)
    refuse('exists', `two disks of ${instance.name} have the same logical_id`);
  // A file on two nodes' own file systems may well have one path; shared ones may not.
  if (instance.disk_template !== 'sharedfile') return;
  for (const other of draft.values('disks')) {
    if (other.dev_type === 'sharedfile' && places.has(JSON.stringify(other.logical_id))) {
      refuse('exists', `the disk ${shown(other.logical_id)} belongs to another instance`);
    }
  }
}
