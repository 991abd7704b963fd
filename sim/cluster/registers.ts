/**
 * Registers in the replicated state, and clients that read and change them through the agents' API on any host. What each
 * asked and was told is a history (docs/history-format.md), which must be linearizable key by key (O3): no change that
 * was acknowledged is lost, no read is older than what anybody had been told.
 *
 *   tag/a, tag/b   a tag of the node group, replaced: refused unless the old one is there, which is compare-and-set
 *   os             a parameter of an OS that nothing uses: set without a condition
 *
 * Clients take what the API promises and nothing better: a change that may have reached an agent and was not surely
 * refused is of unknown outcome. They end with the first generation of the cluster: what a recovery keeps of promises is
 * another matter (docs/recover.md).
 */
import type { Command } from '../../src/config/commands.ts';
import { type CheckResult, checkHistory } from '../history/check.ts';
import { type HistoryRecord, type Outcome, operationOf } from '../history/jsonl.ts';
import { Knobs } from '../kit/knobs.ts';
import { seedOf } from '../kit/seed.ts';
import { Breach, type SimCluster } from './cluster.ts';
import type { SimHost } from './host/sim-host.ts';
import type { Mark } from './mark-names.ts';
import { begin_wall_s } from './world.ts';

/** Beyond this a client gives up; the agent may still be at it. */
const patience_ms = 5_000;
/**
 * Of a run. Judged in a second or two, however many are of unknown outcome, since no register is both written and
 * compared-and-set: with both, ways in which it may have gone multiply.
 */
const most_operations = 20_000;
const last_reads = 8;
const last_read_ms = 30_000;

const os_name = 'registers';
const os_key = 'os';
const tags = ['a', 'b'] as const;
type Tag = (typeof tags)[number];
const tagKey = (tag: Tag): string => `tag/${tag}`;

const read_share = 0.45;
const cas_share = 0.35;
/** How often a client goes on at once: what was told just now is what a stale answer is told from. */
const hurry = 0.5;
const hurry_ms = 30;

/** Codes of the API that promise that nothing was done (src/node/leader-client.ts, api-server.ts). */
const not_done: ReadonlySet<string> = new Set(['no-quorum', 'no-cluster', 'refused']);

type Answer =
  | { readonly outcome: 'ok'; readonly value: unknown }
  /** `refused`: by the state machine, since what was expected is not there. */
  | { readonly outcome: Exclude<Outcome, 'ok'> | 'refused' };
type Begun = Pick<HistoryRecord, 'client' | 'op' | 'key' | 'value' | 'expected' | 'call_us'>;

export class Registers {
  readonly #cluster: SimCluster;
  readonly #ended: HistoryRecord[] = [];
  readonly #open = new Set<Begun>();
  /** What a tag was last seen to be, by anybody; none: it was not set. */
  readonly #seen = new Map<Tag, number>();
  #group = '';
  #on = false;
  #running = 0;
  #clients = 0;
  #values = 0;
  #last_us = 0;

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
  }

  /** No client waits for an answer. */
  get idle(): boolean {
    return this.#running === 0;
  }

  /** `clients` of them, each with an operation every `every_ms` on the average. Once only. */
  start(clients: number, every_ms: number): void {
    if (this.#clients > 0) return;
    this.#on = true;
    const { seed } = this.#cluster.options;
    const begin = async () => {
      await this.#setUp();
      for (let nth = 1; nth <= clients; nth += 1)
        this.#track(this.#client(new Knobs(seedOf(seed, `register client ${nth}`)), every_ms));
    };
    this.#track(begin());
  }

  /** Nothing new is asked. */
  stop(): void {
    this.#on = false;
  }

  /** All that was asked so far, as it became known; what is under way last. */
  get records(): readonly HistoryRecord[] {
    const open = [...this.#open].map((begun) => ({ ...begun, return_us: null, outcome: 'unknown' as const }));
    return [...this.#ended, ...open];
  }

  /** When all is well again: what every agent shows now belongs to the history, which is judged. @throws Breach */
  async finish(): Promise<void> {
    if (this.#clients === 0) return;
    this.stop();
    const hosts = this.#cluster.hosts.filter((host) => this.#serves(host)).slice(0, last_reads);
    for (const host of hosts) {
      const client = this.#nextClient();
      const reads = async () => {
        await this.#readTags(client, host);
        await this.#readOs(client, host);
      };
      await this.#cluster.done(`the last reads of ${host.name}`, last_read_ms, reads());
    }
    this.judge();
  }

  /** @throws Breach */
  judge(): void {
    const verdict = judged(this.records);
    if (!verdict.ok) throw new Breach(`O3: register ${verdict.key} is not linearizable: ${verdict.reason}`);
  }

  #track(act: Promise<void>): void {
    this.#running += 1;
    act
      .catch((error: Error) => this.#cluster.fail(`a client of the registers failed: ${error.stack}`))
      .finally(() => {
        this.#running -= 1;
      });
  }

  /** Both tags, while nobody else is at them: added without a condition, so once only. */
  async #setUp(): Promise<void> {
    const client = this.#nextClient();
    for (let tries = 0; tries < 3 && this.#on; tries += 1) {
      const leader = this.#cluster.leader();
      const [group] = leader?.member.state.list('groups') ?? [];
      if (leader !== null && group !== undefined) {
        // Asked once: a host that begins anew knows of no group, and would have all of its clients refused.
        this.#group = group.uuid;
        const values = tags.map((tag) => ({ tag, value: this.#nextValue() }));
        const begun = values.map(({ tag, value }) => this.#begin(client, 'write', tagKey(tag), { value }));
        const add = values.map(({ tag, value }) => tagOf(tag, value));
        const { outcome } = await this.#change(leader.host, this.#tags(add, []));
        for (const one of begun) this.#end(one, outcome === 'refused' ? 'fail' : outcome);
        if (outcome === 'ok') for (const { tag, value } of values) this.#seen.set(tag, value);
        if (outcome === 'ok' || outcome === 'unknown') return;
      }
      await this.#cluster.time.sleep(1_000);
    }
  }

  async #client(knobs: Knobs, every_ms: number): Promise<void> {
    const { time, oracles } = this.#cluster;
    let client = this.#nextClient();
    while (this.#on) {
      await time.sleep(knobs.exponential(knobs.chance(hurry) ? hurry_ms : 2 * every_ms));
      const host = knobs.pick(this.#cluster.hosts);
      if (oracles.was_recovered || this.#ended.length > most_operations) return;
      if (!this.#on || !this.#serves(host)) continue;
      if ((await this.#operate(client, knobs, host)) === 'unknown') client = this.#nextClient();
    }
  }

  #serves({ agent, member }: SimHost): boolean {
    return agent?.up === true && member?.file.generation === 1;
  }

  #operate(client: number, knobs: Knobs, host: SimHost): Promise<Outcome> {
    const kind = knobs.random();
    const tag = knobs.pick(tags);
    const expected = this.#seen.get(tag);
    const of_tags = expected !== undefined && knobs.chance(0.6);
    if (kind < read_share) return of_tags ? this.#readTags(client, host) : this.#readOs(client, host);
    if (expected === undefined || kind >= read_share + cas_share) return this.#write(client, host);
    return this.#swap(client, host, tag, expected);
  }

  async #write(client: number, host: SimHost): Promise<Outcome> {
    const value = this.#nextValue();
    const begun = this.#begin(client, 'write', os_key, { value });
    const changes = { osparams: { [os_name]: { v: String(value) } } };
    const { outcome } = await this.#change(host, { type: 'cluster-set', time: this.#wall_s, changes });
    return this.#end(begun, outcome === 'refused' ? 'fail' : outcome);
  }

  async #swap(client: number, host: SimHost, tag: Tag, expected: number): Promise<Outcome> {
    const value = this.#nextValue();
    const begun = this.#begin(client, 'cas', tagKey(tag), { value, expected });
    const { outcome } = await this.#change(host, this.#tags([tagOf(tag, value)], [tagOf(tag, expected)]));
    if (outcome === 'ok') this.#seen.set(tag, value);
    if (outcome !== 'refused') return this.#end(begun, outcome, true);
    this.#end(begun, 'ok', false);
    return this.#readTags(client, host);
  }

  async #readTags(client: number, host: SimHost): Promise<Outcome> {
    const begun = tags.map((tag) => this.#begin(client, 'read', tagKey(tag), {}));
    const found = await this.#read(host, { resource: 'group', fields: ['tags'] });
    tags.forEach((tag, at) => {
      const value =
        found === null ? null : tagValue(tag, (found['tags'] as readonly string[] | undefined) ?? []);
      if (typeof value === 'number') this.#seen.set(tag, value);
      this.#end(begun[at]!, found === null ? 'fail' : 'ok', value);
    });
    return found === null ? 'fail' : 'ok';
  }

  async #readOs(client: number, host: SimHost): Promise<Outcome> {
    const begun = this.#begin(client, 'read', os_key, {});
    const found = await this.#read(host, { resource: 'cluster', fields: ['osparams'] });
    const params = found?.['osparams'] as { readonly [os: string]: { readonly v?: string } } | undefined;
    const text = params?.[os_name]?.v;
    return this.#end(begun, found === null ? 'fail' : 'ok', text === undefined ? null : Number(text));
  }

  /** The only row, empty where there should be one; null: no answer. */
  async #read(host: SimHost, params: Record<string, unknown>): Promise<Record<string, unknown> | null> {
    const answer = await this.#call(host, 'query', params);
    if (answer.outcome !== 'ok') return null;
    return (answer.value as { readonly rows: readonly Record<string, unknown>[] }).rows[0] ?? {};
  }

  #change(host: SimHost, command: Command): Promise<Answer> {
    return this.#call(host, 'test.propose', { command });
  }

  #call(host: SimHost, method: string, params: Record<string, unknown>): Promise<Answer> {
    return new Promise((resolve) => {
      const cancel = this.#cluster.time.after(patience_ms, () => resolve({ outcome: 'unknown' }));
      host.agent!.call(method, params).then(
        (value) => {
          cancel();
          resolve({ outcome: 'ok', value });
        },
        ({ code = '' }: { readonly code?: string }) => {
          cancel();
          if (code === 'not-found') resolve({ outcome: 'refused' });
          else resolve({ outcome: not_done.has(code) ? 'fail' : 'unknown' });
        },
      );
    });
  }

  #begin(
    client: number,
    op: HistoryRecord['op'],
    key: string,
    given: Pick<HistoryRecord, 'value' | 'expected'>,
  ): Begun {
    const begun = { client, op, key, ...given, call_us: this.#moment() };
    this.#open.add(begun);
    return begun;
  }

  /** @param result of a read or a compare-and-set that was answered */
  #end(begun: Begun, outcome: Outcome, result?: unknown): Outcome {
    this.#open.delete(begun);
    const answered = outcome === 'ok' && begun.op !== 'write' ? { result } : {};
    const return_us = outcome === 'unknown' ? null : this.#moment();
    this.#ended.push({ ...begun, ...answered, return_us, outcome });
    this.#cluster.marks.hit(markOf(begun, outcome));
    return outcome;
  }

  /** Of the same moment, but one after the other: which was first is never in doubt. */
  #moment(): number {
    this.#last_us = Math.max(this.#last_us + 1, Math.floor(this.#cluster.time.now_ms * 1000));
    return this.#last_us;
  }

  #tags(add: readonly string[], remove: readonly string[]): Command {
    return { type: 'tags', time: this.#wall_s, kind: 'nodegroup', uuid: this.#group, add, remove };
  }

  get #wall_s(): number {
    return begin_wall_s + this.#cluster.time.now_ms / 1000;
  }

  #nextValue(): number {
    this.#values += 1;
    return this.#values;
  }

  #nextClient(): number {
    this.#clients += 1;
    return this.#clients;
  }
}

/** Every register holds nothing at first. */
export function judged(records: readonly HistoryRecord[]): CheckResult {
  return checkHistory(records.map(operationOf).filter((op) => op !== null));
}

const tagOf = (tag: Tag, value: number): string => `${tag}:${value}`;

/** The value of one tag; null: it is not set; what no client can have made is shown as it is, and cannot be placed. */
function tagValue(tag: Tag, all: readonly string[]): unknown {
  const mine = all.filter((one) => one.startsWith(`${tag}:`));
  if (mine.length > 1) return mine;
  return mine.length === 0 ? null : Number(mine[0]!.slice(tag.length + 1));
}

function markOf({ op }: Begun, outcome: Outcome): Mark {
  if (outcome === 'fail') return 'register not answered';
  if (outcome === 'unknown') return 'register change of unknown outcome';
  return op === 'read' ? 'register read' : 'register changed';
}
