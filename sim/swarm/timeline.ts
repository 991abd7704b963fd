/**
 * The story of a run, for people: who lost power, who leads, which node the cluster takes for lost, where guests went,
 * what became of jobs. Made from the trace and from looks at the leader's state; it only reads, so that a run with a
 * timeline is the same run as one without.
 */
import type { StateView } from '../../src/config/api.ts';
import type { SimCluster } from '../cluster/cluster.ts';

export interface TimelineEntry {
  readonly at_ms: number;
  readonly kind: 'host' | 'link' | 'leader' | 'node' | 'guest' | 'cpus' | 'job' | 'run';
  /** Host, node, instance or request. */
  readonly who: string;
  readonly text: string;
}

const look_every_ms = 250;

/** Lines of a host's trace that are part of the story. */
const host_lines =
  /^(power on, boot \d+|power off|agent killed|keeper killed|(agent|keeper|host) frozen for \d+ ms)$/;
const faults = /^(slow|quick|flap|disk|fault)\b/;

export class Timeline {
  readonly entries: TimelineEntry[] = [];
  readonly #tell: (entry: TimelineEntry) => void;
  readonly #health = new Map<string, string>();
  readonly #owner = new Map<string, string>();
  readonly #jobs = new Set<number>();
  #leader = '';

  constructor(tell: (entry: TimelineEntry) => void = () => undefined) {
    this.#tell = tell;
  }

  /** A line of the trace. */
  line(line: string): void {
    const [, at = '', who = '', text = ''] = /^\s*(\d+) (\S+) (.*)$/s.exec(line) ?? [];
    const at_ms = Number(at);
    const add = (kind: TimelineEntry['kind'], what: string) => this.#add({ at_ms, kind, who, text: what });
    if (who === 'cut' || who === 'whole') add('link', `${who}: ${linkText(text)}`);
    else if (who === 'run' || who === 'breach') add('run', text);
    else if (faults.test(text)) add('host', `${who} ${text}`);
    else if (/^(runs|halts) /.test(text)) {
      const [what = '', name = ''] = text.split(' ');
      this.#add({ at_ms, kind: 'cpus', who: name, text: `${name} ${what} on ${who}` });
    } else if (host_lines.test(text)) add('host', `${who} ${text.replace(/for (\d+) ms/, shortFor)}`);
    else if (text.startsWith('info leader {')) {
      const again = this.#leader === who ? ' again' : '';
      this.#leader = who;
      add('leader', `${who} leads${again}, in term ${/\d+/.exec(text)?.[0]}`);
    } else if (text.startsWith('info leader no more')) add('leader', `${who} leads no more`);
  }

  /** Looks at the leader's state from now on. */
  follow(cluster: SimCluster): void {
    const look = () => {
      const state = cluster.leader()?.member.state;
      if (state !== undefined) this.#look(cluster.time.now_ms, state);
      cluster.time.after(look_every_ms, look);
    };
    cluster.time.after(look_every_ms, look);
  }

  #look(at_ms: number, state: StateView): void {
    for (const node of state.list('nodes')) {
      const now = node.drained ? `${node.health}, drained` : node.health;
      const before = this.#health.get(node.name);
      this.#health.set(node.name, now);
      if (before !== undefined && before !== now)
        this.#add({
          at_ms,
          kind: 'node',
          who: node.name,
          text: `node ${node.name} is ${now} (was ${before})`,
        });
    }
    for (const instance of state.list('instances')) {
      const owner = state.get('nodes', instance.owner.node)?.name ?? '?';
      const before = this.#owner.get(instance.uuid);
      this.#owner.set(instance.uuid, owner);
      if (before === undefined || before === owner) continue;
      const kind = instance.owner_log.at(-1)?.evidence?.kind ?? '?';
      const text = `instance ${instance.name} goes from ${before} to ${owner} (evidence: ${kind})`;
      this.#add({ at_ms, kind: 'guest', who: instance.name, text });
    }
    for (const job of state.list('jobs')) {
      if (job.end_timestamp === null || this.#jobs.has(job.id)) continue;
      this.#jobs.add(job.id);
      const text = `job ${job.id} ${job.status}: ${job.ops.map(({ input }) => opText(input)).join(', ')}`;
      this.#add({ at_ms, kind: 'job', who: job.request_id, text });
    }
  }

  #add(entry: TimelineEntry): void {
    this.entries.push(entry);
    this.#tell(entry);
  }
}

function shortFor(_: string, ms: string): string {
  return `for ${(Number(ms) / 1000).toFixed(1)} s`;
}

/** `n1>n2 n2>n1`: many pairs of one host are that host. */
function linkText(pairs: string): string {
  const all = pairs.split(' ');
  if (all.length < 4) return pairs;
  const [host] = hostsOf(all).filter((name) =>
    all.every((pair) => pair.startsWith(`${name}>`) || pair.endsWith(`>${name}`)),
  );
  if (host === undefined) return `${all.length} ways between ${hostsOf(all).join(' ')}`;
  const ways = new Set(all.map((pair) => pair.startsWith(`${host}>`)));
  const others = hostsOf(all).filter((name) => name !== host);
  return `${host} ${ways.size === 2 ? 'and' : ways.has(true) ? 'to' : 'from'} ${others.join(' ')}`;
}

function hostsOf(pairs: readonly string[]): readonly string[] {
  return [...new Set(pairs.flatMap((pair) => pair.split('>')))].sort();
}

function opText(input: { readonly OP_ID: string; readonly [key: string]: unknown }): string {
  const name = input['instance_name'] ?? input['node_name'] ?? input['name'] ?? '';
  return `${input.OP_ID.replace('OP_', '').toLowerCase().replaceAll('_', '-')} ${String(name)}`.trim();
}
