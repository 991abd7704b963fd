/**
 * O9, an instance goes only where it may, as far as there are rules: whenever the configuration gives one to another
 * node, that node takes new instances, and has the memory for all that it is to run. Judged on the leader's
 * configuration right after the entry that gave it; never for what stays where it was. That it is still
 * well is no rule: it may be lost while a job that chose it goes on.
 */
import type { StateView } from '../../src/config/api.ts';
import type { Instance, Node } from '../../src/config/model.ts';
import { fillBeParams } from '../../src/config/params.ts';

export class PlacementOracle {
  readonly #fail: (what: string) => void;
  readonly #total_memory_mib: number;
  /** Whose configuration was looked at last: another one may have missed nothing, or much. */
  #of: unknown = null;
  readonly #owners = new Map<string, string>();

  /** @param total_memory_mib of each host */
  constructor(total_memory_mib: number, fail: (what: string) => void) {
    this.#total_memory_mib = total_memory_mib;
    this.#fail = fail;
  }

  /** @param of the member, in one life and term, whose configuration it is */
  look(of: unknown, state: StateView): void {
    const known = of === this.#of;
    if (!known) this.#owners.clear();
    this.#of = of;
    for (const instance of state.list('instances')) {
      const before = this.#owners.get(instance.uuid);
      const { node } = instance.owner;
      if (before === node) continue;
      this.#owners.set(instance.uuid, node);
      if (known) this.#judge(state, instance, state.get('nodes', node));
    }
  }

  #judge(state: StateView, instance: Instance, node: Node | undefined): void {
    const wrong = node === undefined ? 'a node that does not exist' : against(node);
    if (wrong !== null) this.#fail(`O9: instance ${instance.name} is given to ${wrong}`);
    const cluster = state.get('cluster', 'cluster');
    if (cluster === undefined || instance.admin_state !== 'up') return;
    let needed_mib = 0;
    for (const other of state.list('instances'))
      if (other.owner.node === instance.owner.node && other.admin_state === 'up')
        needed_mib += Number(fillBeParams(cluster, other).maxmem);
    if (needed_mib > this.#total_memory_mib)
      this.#fail(
        `O9: instance ${instance.name} is given to ${node?.name}, which is then to run ${needed_mib} MiB of ${this.#total_memory_mib}`,
      );
  }
}

function against(node: Node): string | null {
  const what = [
    node.offline && 'offline',
    node.drained && 'drained',
    !node.vm_capable && 'not vm_capable',
  ].filter((text) => text !== false);
  return what.length === 0 ? null : `${node.name}, which is ${what.join(' and ')}`;
}
