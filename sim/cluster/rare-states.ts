/**
 * Marks for states in which rules meet that are seldom needed at once: a leader lost in the midst of something. Looked
 * for when a leader is elected, for what its predecessor left behind, and when a keeper thaws. It only counts.
 */
import type { StateView } from '../../src/config/api.ts';
import type { Step } from '../../src/config/model.ts';
import type { Member } from '../../src/node/member.ts';
import type { SimCluster } from './cluster.ts';
import type { SimHost } from './host/sim-host.ts';
import type { Mark } from './mark-names.ts';

/** A transfer of a snapshot that was seen this shortly before counts as under way. */
const recent_ms = 400;

export class RareStates {
  readonly #cluster: SimCluster;
  #snapshot_ms = Number.NEGATIVE_INFINITY;

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
  }

  /** To be called often: what has passed when it is asked for. */
  look(): void {
    const progress = this.#cluster.leader()?.member.replica.progress() ?? [];
    if (progress.some(({ state }) => state === 'snapshot')) this.#snapshot_ms = this.#cluster.time.now_ms;
  }

  get #sends_snapshot(): boolean {
    return this.#cluster.time.now_ms - this.#snapshot_ms < recent_ms;
  }

  /** A member won an election; it has applied nothing of its term yet. */
  elected(member: Member): void {
    const { marks } = this.#cluster;
    if (member.replica.status().configuration.voters_outgoing.length > 0)
      marks.hit('new leader in a joint configuration');
    if (this.#sends_snapshot) marks.hit('new leader while a snapshot was sent');
  }

  /** The lead is about to be handed over. */
  handsOver(): void {
    if (this.#sends_snapshot) this.#cluster.marks.hit('lead moved while a snapshot was sent');
  }

  /** A leader takes up its duties: it has applied all that its predecessors committed. */
  leads(host: SimHost, member: Member): void {
    const { marks, hosts } = this.#cluster;
    const { state } = member;
    for (const job of state.list('jobs'))
      if (job.status === 'running' && job.ops.some(({ input }) => input.OP_ID === 'OP_INSTANCE_FAILOVER'))
        marks.hit(phaseOf(state, job.id));
    const silent = new Set(hosts.filter((other) => !this.#inReach(host, other)).map(({ name }) => name));
    const waits = state
      .list('nodes')
      .filter(({ name, health }) => silent.has(name) && health !== 'lost' && health !== 'fenced');
    const owned = (uuid: string) =>
      state
        .list('instances')
        .some(({ owner, guarded, admin_state }) => owner.node === uuid && guarded && admin_state === 'up');
    if (waits.some(({ uuid }) => owned(uuid))) marks.hit('new leader inside a horizon wait');
  }

  #inReach(a: SimHost, b: SimHost): boolean {
    const { links } = this.#cluster;
    const whole = !links.isCut(a.peer_id, b.peer_id) && !links.isCut(b.peer_id, a.peer_id);
    return a === b || (whole && b.member !== null && !b.stands_still);
  }

  /** A keeper lets a guest go on. */
  thawed(instance: string, epoch: number): void {
    const owner = this.#cluster.leader()?.member.state.get('instances', instance)?.owner;
    if (owner === undefined || owner.epoch > epoch) this.#cluster.marks.hit('thaw after supersede');
  }
}

/** How far a failover had come when its leader was lost. */
function phaseOf(state: Pick<StateView, 'list'>, job: number): Mark {
  const steps = new Map(
    state.list('steps').flatMap((step): [string, Step][] => (step.job === job ? [[step.name, step]] : [])),
  );
  const start = steps.get('start');
  if (start !== undefined)
    return start.status === 'open' ? 'leader lost: failover starts' : 'leader lost: failover started';
  if (steps.has('owner')) return 'leader lost: failover has a new owner';
  if (steps.get('stop')?.status === 'open') return 'leader lost: failover stops';
  return steps.has('stop') || steps.has('plan')
    ? 'leader lost: failover waits'
    : 'leader lost: failover plans';
}
