/**
 * A majority is lost for good, and the cluster is recovered on a survivor as docs/recover.md says. From then on nothing
 * else goes wrong, since what that page asks of an operator (switch the others off; keep the recovered host up and in
 * reach) could not be done otherwise. The old hosts stay off for good, and people say so; or they come back, on a whole
 * network, and have to stand down. Who stands down is made to follow.
 */
import { meta_key } from '../../src/config/keys.ts';
import type { FaultScene } from './fault-scene.ts';
import type { SimHost } from './host/sim-host.ts';

const tend_every_ms = 2_000;
/** A host that follows is not told again meanwhile. */
const patience_ms = 15_000;
const most_power_on_ms = 60_000;

export class Disaster {
  readonly #scene: FaultScene;
  /** Hosts that were lost, and whether they come back. */
  #lost: readonly SimHost[] = [];
  #come_back = false;
  #told = new Map<string, number>();

  constructor(scene: FaultScene) {
    this.#scene = scene;
  }

  /** @param damaged the host whose storage was damaged: what it has may not be all */
  strike(damaged: SimHost | null): void {
    const { acts, knobs } = this.#scene;
    this.#scene.on = false;
    acts.perform({ do: 'mend' });
    this.#come_back = knobs.chance(0.5);
    acts.after(knobs.range(0, 30_000), () => this.#lose(damaged));
  }

  #lose(damaged: SimHost | null): void {
    const { acts, knobs, cluster } = this.#scene;
    const leader = cluster.leader();
    if (leader === null) return;
    const { voters } = leader.member.replica.status().configuration;
    const votes = (host: SimHost) => voters.includes(host.member?.file.member ?? 0);
    const sound = cluster.hosts.filter((host) => votes(host) && host !== damaged);
    if (voters.length < 2 || sound.length < 2) return;
    const survivor = knobs.pick(sound);
    const others = knobs.shuffle(cluster.hosts.filter((host) => votes(host) && host !== survivor));
    const count = knobs.integer(Math.ceil(voters.length / 2), voters.length - 1);
    const learners = cluster.hosts.filter((host) => host.power && !votes(host) && knobs.chance(0.3));
    this.#lost = [...others.slice(0, count), ...learners];
    // All at once, or one after the other while the rest goes on.
    const spread_ms = knobs.maybe(0.5, () => knobs.range(10, 5_000), 0);
    for (const { name } of this.#lost)
      acts.after(knobs.range(0, spread_ms), () => {
        acts.perform({ do: this.#come_back ? 'power-off' : 'lose', host: name });
      });
    cluster.marks.hit('fault: majority lost for good');
    acts.after(spread_ms + knobs.range(5_000, 40_000), () => this.#tend());
  }

  #tend(): void {
    const { acts, cluster, knobs } = this.#scene;
    acts.after(tend_every_ms, () => this.#tend());
    if (!cluster.oracles.was_recovered) {
      const up = cluster.hosts.filter((host) => host.member !== null && !host.stands_still);
      // Not where a leader is: whoever is lost, a majority was left.
      if (up.length === 0 || cluster.leader() !== null || !this.#mayTell('recovery')) return;
      const off = this.#come_back ? [] : this.#lost.map(({ name }) => name);
      const host = knobs.pick(notRemoved(up)).name;
      acts.perform({ do: 'recover', host, off: knobs.chance(0.5) ? off : [] });
      return;
    }
    for (const { name, agent } of cluster.hosts)
      if (agent?.stands_down === true && this.#mayTell(name)) acts.perform({ do: 'follow', host: name });
    const leader = cluster.leader();
    if (leader === null || leader.member.file.generation === 1) return;
    if (this.#come_back) this.#switchOn();
    else this.#sayWhoIsOff(leader.host);
  }

  #switchOn(): void {
    const { acts, cluster, knobs } = this.#scene;
    if (this.#lost.length === 0) return;
    for (const { name } of this.#lost)
      acts.after(knobs.range(0, most_power_on_ms), () => void acts.perform({ do: 'power-on', host: name }));
    this.#lost = [];
    cluster.marks.hit('fault: old majority back');
  }

  #sayWhoIsOff(leader: SimHost): void {
    const { member } = leader;
    const recovery = member?.state.get('meta', meta_key)?.recovery;
    for (const { name } of this.#lost) {
      const uuid = member?.state.list('nodes').find((node) => node.name === name)?.uuid;
      const unsaid = recovery?.unseen.some(({ node, word }) => node === uuid && !word);
      if (unsaid === true && this.#mayTell(name))
        this.#scene.acts.perform({ do: 'word', host: leader.name, node: name });
    }
  }

  #mayTell(whom: string): boolean {
    const { now_ms } = this.#scene.acts;
    const before_ms = this.#told.get(whom) ?? Number.NEGATIVE_INFINITY;
    if (now_ms - before_ms < patience_ms) return false;
    this.#told.set(whom, now_ms);
    return true;
  }
}

/**
 * A host that was removed and has not heard of it is no survivor: the others do not know it any more, and would never hear of
 * the generation that begins there. Whoever of them all has the longest log can tell.
 */
function notRemoved(up: readonly SimHost[]): readonly SimHost[] {
  const furthest = [...up].sort((a, b) => b.member!.state.index - a.member!.state.index)[0]!;
  const nodes = furthest.member!.state;
  return up.filter((host) => nodes.get('nodes', host.member!.node_uuid) !== undefined);
}
