/** Who answers on the master IP, as a client in a namespace of its own sees it, over time. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { namespaceFile } from '../../cli/lab/layout.ts';
import { type Lab, waitUntil } from './support.ts';

export interface Answer {
  /** When it was asked. */
  readonly at_ms: number;
  /** '' when nobody answered. */
  readonly name: string;
  /** Whether the one who answered says that it leads. */
  readonly master: boolean;
}

/** Asks every 50 ms, from the start until {@link stop}, which must be called. */
export class MasterIpWatch {
  readonly answers: Answer[] = [];
  readonly #child: ChildProcess;

  constructor(lab: Lab, address = lab.master_ip) {
    if (!lab.client) throw new Error('this lab has no client');
    const probe = fileURLToPath(new URL('./master-ip-probe.ts', import.meta.url));
    const { NODE_TEST_CONTEXT: _test, ...env } = process.env;
    this.#child = spawn(
      'nsenter',
      [`--net=${namespaceFile(lab.client.namespace)}`, '--', process.execPath, probe, address],
      { stdio: ['pipe', 'pipe', 'inherit'], env },
    );
    let text = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      this.answers.push(...lines.map((line) => JSON.parse(line) as Answer));
    });
  }

  /** Waits until `name` (or, left out, anybody) answers as master to a question asked from `since_ms` on. */
  answeredBy(name: string | null = null, since_ms = 0): Promise<Answer> {
    const match = (answer: Answer): boolean =>
      answer.at_ms >= since_ms &&
      answer.master &&
      answer.name !== '' &&
      (name ?? answer.name) === answer.name;
    return waitUntil(
      () => this.answers.find(match) ?? null,
      `${name ?? 'a master'} to answer on the master IP`,
    );
  }

  /** Names in the order in which they answered from `since_ms` on, without repetitions and silence. */
  names(since_ms = 0): readonly string[] {
    const names = this.answers
      .filter(({ at_ms, name }) => at_ms >= since_ms && name !== '')
      .map(({ name }) => name);
    return names.filter((name, at) => name !== names[at - 1]);
  }

  async stop(): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) resolve();
      else this.#child.once('close', () => resolve());
    });
    this.#child.stdin?.end();
    await ended;
  }
}
