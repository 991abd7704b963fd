/** Runs a simulator's command line for a while, in a process of its own, and hands on what it printed at the end. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Of the swarm in all, for each of its two halves. `SKEIN_SWARM_S` makes it shorter or longer. */
export function swarmSeconds(): number {
  const text = process.env['SKEIN_SWARM_S'] ?? '480';
  const seconds = Number(text);
  if (!(seconds > 0)) throw new RangeError(`SKEIN_SWARM_S=${text}: expected seconds above 0`);
  return seconds;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines of both streams: a failing seed ends with its replay and its trace. */
  readonly tail: readonly string[];
}

const kept_lines = 200;

/** @param limit_s after that the process is ended: it hangs */
export function runSimulator(args: readonly string[], limit_s: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const tail: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (line) => {
        tail.push(line);
        if (tail.length > kept_lines) tail.shift();
      });
    const timer = setTimeout(() => child.kill('SIGKILL'), limit_s * 1000);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, tail });
    });
  });
}
