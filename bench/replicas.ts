/**
 * 200 replicas in eight processes, five of them voters, the leader alone in one: what it computes and sends while idle and
 * at 100 commands a second, with and without relays.
 *
 *   node bench/replicas.ts [--members N] [--seconds N]
 */
import { type ChildProcess, fork } from 'node:child_process';
import { loadavg } from 'node:os';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Answer, Order } from './replicas-process.ts';

const processes = 8;
const voters = [1, 2, 3, 4, 5];
const per_second = 100;

type Measured = Extract<Answer, { type: 'measured' }>;

/** The answers of a process, in order. */
class Child {
  readonly process: ChildProcess;
  readonly #answers: Answer[] = [];
  #wake: () => void = () => undefined;

  constructor() {
    this.process = fork(fileURLToPath(new URL('replicas-process.ts', import.meta.url)));
    this.process.on('message', (answer: Answer) => {
      this.#answers.push(answer);
      this.#wake();
    });
  }

  tell(order: Order | { readonly type: 'go' }): void {
    this.process.send(order);
  }

  /** @throws Error after a minute */
  async next<T extends Answer['type']>(type: T): Promise<Extract<Answer, { type: T }>> {
    const end_ms = performance.now() + 60_000;
    for (;;) {
      const found = this.#answers.findIndex((answer) => answer.type === type);
      if (found >= 0) return this.#answers.splice(found, 1)[0] as Extract<Answer, { type: T }>;
      const left_ms = end_ms - performance.now();
      if (left_ms <= 0) throw new Error(`no ${type} within a minute`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left_ms, 1000));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

async function measured(leader: Child): Promise<Measured> {
  leader.tell({ type: 'measure' });
  return leader.next('measured');
}

function report(what: string, before: Measured, after: Measured, elapsed_s: number): void {
  const rate = (key: 'bytes' | 'frames' | 'cpu_us') => (after[key] - before[key]) / elapsed_s;
  const columns = [
    what.padEnd(34),
    `${(rate('cpu_us') / 1000).toFixed(0).padStart(5)} ms CPU/s`,
    `${(rate('bytes') / 1024).toFixed(1).padStart(7)} KiB/s`,
    `${rate('frames').toFixed(0).padStart(6)} frames/s`,
    `${((after.answered - before.answered) / elapsed_s).toFixed(0).padStart(4)} commands/s`,
    `${after.active} active, ${after.relayed} below relays`,
    `load ${loadavg()[0]!.toFixed(1)}`,
  ];
  process.stdout.write(`${columns.join('  ')}\n`);
}

async function run(members: number, seconds: number, relays: boolean): Promise<void> {
  const children = Array.from({ length: processes }, () => new Child());
  try {
    const ports = await Promise.all(children.map(async (child) => (await child.next('listens')).port));
    const home = Array.from({ length: members }, (_, i) => {
      return [i + 1, i === 0 ? 0 : 1 + ((i - 1) % (processes - 1))] as const;
    });
    children.forEach((child, i) => {
      child.tell({ type: 'open', process: i, home, voters, ports, relays });
    });
    await Promise.all(children.map((child) => child.next('connected')));
    for (const child of children) child.tell({ type: 'go' });
    const leader = children[0]!;
    await leader.next('leads');
    const name = relays ? 'with relays' : 'without';
    for (const [what, rate] of [
      ['idle', 0],
      [`${per_second} commands a second`, per_second],
    ] as const) {
      if (rate > 0) leader.tell({ type: 'load', per_second: rate });
      // Just-in-time compilation, and the tree.
      await sleep(4000);
      const [before, begun_ms] = [await measured(leader), performance.now()];
      await sleep(seconds * 1000);
      report(`${name}, ${what}`, before, await measured(leader), (performance.now() - begun_ms) / 1000);
    }
  } finally {
    for (const child of children) child.process.disconnect();
  }
}

const { values } = parseArgs({
  options: { members: { type: 'string', default: '200' }, seconds: { type: 'string', default: '10' } },
});
process.stdout.write(`the leader of ${values.members} replicas, ${voters.length} of them voters\n`);
for (const relays of [false, true]) await run(Number(values.members), Number(values.seconds), relays);
