/** Who answers at an address, asked from a client's namespace all the time between `start` and `end`. */
import { type Child, scriptArgv, startChild } from './child.ts';
import { nowMs, until } from './clock.ts';
import { onLine } from './line-reader.ts';

export interface Answer {
  readonly sent_ms: number;
  readonly at_ms: number;
  readonly name: string;
}

export interface Prober {
  /** Who answers now; waits for a first answer. */
  owner(): Promise<string>;
  /** Resolves with the first answer by another to a question sent at `since_ms` or later. */
  firstOther(owner: string, since_ms: number, timeout_ms: number): Promise<Answer>;
  end(): Promise<void>;
}

const most_answers = 20_000;
const fresh_ms = 300;

export async function startProber(
  namespace: string,
  address: string,
  port: number,
  log: string,
): Promise<Prober> {
  const child: Child = await startChild(scriptArgv('probe-client.ts', address, String(port)), {
    namespace,
    log,
    pipe: true,
  });
  const answers: Answer[] = [];
  onLine(child, (line) => {
    const [sent = '', at = '', name = ''] = line.split(' ');
    answers.push({ sent_ms: Number(sent), at_ms: Number(at), name });
    if (answers.length > most_answers) answers.splice(0, most_answers / 2);
  });
  return {
    owner: () =>
      until(`an answer of ${address}`, 30_000, 20, () => {
        const last = answers.at(-1);
        return last && nowMs() - last.at_ms < fresh_ms ? last.name : null;
      }),
    firstOther: (owner, since_ms, timeout_ms) =>
      until(
        `an answer of ${address} by another than ${owner}`,
        timeout_ms,
        2,
        () => answers.find((answer) => answer.sent_ms >= since_ms && answer.name !== owner) ?? null,
      ),
    end: () => child.end(),
  };
}
