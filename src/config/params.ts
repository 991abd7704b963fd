/**
 * Inheritance of parameters: what is in force for an object, every layer taken into account. Later layers win.
 */
import {
  type BeParams,
  default_beparams,
  default_hvparams,
  default_ndparams,
  default_nicparams,
  type NicParams,
} from './defaults.ts';
import type { Cluster, Instance, Nic, Node, NodeGroup, Params } from './model.ts';

/** `debian+minimal` is variant `minimal` of the OS `debian`. */
function osBase(os: string): string {
  const plus = os.indexOf('+');
  return plus < 0 ? os : os.slice(0, plus);
}

/** Built-in, cluster, OS, OS variant, instance. */
export function fillHvParams(
  cluster: Pick<Cluster, 'hvparams' | 'os_hvp'>,
  instance: Pick<Instance, 'hypervisor' | 'os' | 'hvparams'>,
): Params {
  const { hypervisor, os } = instance;
  return {
    ...default_hvparams[hypervisor],
    ...cluster.hvparams[hypervisor],
    ...cluster.os_hvp[osBase(os)]?.[hypervisor],
    ...cluster.os_hvp[os]?.[hypervisor],
    ...instance.hvparams,
  };
}

/** `memory` is an alias that sets maxmem and minmem; where those are given too, they win. Returns no `memory`. */
export function withoutMemoryAlias(beparams: Params): Params {
  const { memory, ...rest } = beparams;
  return memory === undefined ? beparams : { maxmem: memory, minmem: memory, ...rest };
}

/** Built-in, cluster, instance. */
export function fillBeParams(
  cluster: Pick<Cluster, 'beparams'>,
  instance: Pick<Instance, 'beparams'>,
): BeParams {
  return {
    ...default_beparams,
    ...withoutMemoryAlias(cluster.beparams),
    ...withoutMemoryAlias(instance.beparams),
  };
}

/** Built-in, cluster, NIC. */
export function fillNicParams(cluster: Pick<Cluster, 'nicparams'>, nic: Pick<Nic, 'nicparams'>): NicParams {
  return { ...default_nicparams, ...cluster.nicparams, ...nic.nicparams };
}

/** Built-in, cluster, group, node. */
export function fillNdParams(
  cluster: Pick<Cluster, 'ndparams'>,
  group: Pick<NodeGroup, 'ndparams'>,
  node: Pick<Node, 'ndparams'>,
): Params {
  return { ...default_ndparams, ...cluster.ndparams, ...group.ndparams, ...node.ndparams };
}

/** Cluster's OS, cluster's OS variant, instance. */
export function fillOsParams(
  cluster: Pick<Cluster, 'osparams'>,
  instance: Pick<Instance, 'os' | 'osparams'>,
): Params {
  const { os } = instance;
  return { ...cluster.osparams[osBase(os)], ...cluster.osparams[os], ...instance.osparams };
}
