/**
 * Placement on worker threads, so that a search never holds up leases, the log or the mesh. One thread answers questions
 * for nodes, one after the other, and keeps a copy of the cluster that is told only what has changed; each report has a
 * thread of its own, which ends with it.
 *
 * Guarantees: every question ends, with an answer or an error: after {@link answer_timeout_ms} the thread is ended and
 * what it had before it is refused. A thread that died is started anew for the next question, later each time it dies
 * without having answered one.
 */
import { Worker } from 'node:worker_threads';
import type { PlacementAnswer } from '../placement/placement-ask.ts';
import {
  createMirrorSender,
  type MirrorSender,
  type WorkerAnswer,
  type WorkerRequest,
  type WorkerResponse,
} from './placement-mirror.ts';
import type { PlacementService } from './placement-service.ts';
import type { Env } from './real-env.ts';

/** A search in 200 nodes and 4,000 instances takes some 10 ms. */
export const answer_timeout_ms = 20_000;
const report_timeout_ms = 10 * 60_000;
const most_waiting = 64;
const most_reports = 8;
const first_pause_ms = 100;
const longest_pause_ms = 30_000;
/** MiB of heap of one thread. */
const heap_mib = 256;

/** Beside this file: its source as source, its bundle as bundle (scripts/build.mjs). */
const entry = new URL(
  import.meta.url.endsWith('.ts') ? './placement-thread.ts' : './placement-thread.mjs',
  import.meta.url,
);

export interface PlacementWorkerOptions {
  readonly env: Pick<Env, 'after' | 'log' | 'now_ms'>;
  /** Another program for the thread. Tests only. */
  readonly entry?: URL;
  readonly timeout_ms?: number;
}

interface Waiting {
  readonly resolve: (answer: WorkerAnswer) => void;
  readonly reject: (error: Error) => void;
  readonly cancel: () => void;
}

interface Thread {
  readonly worker: Worker;
  readonly mirror: MirrorSender;
  readonly waiting: Map<number, Waiting>;
}

export function createPlacementWorker(options: PlacementWorkerOptions): PlacementService {
  const { env } = options;
  const threads = new Set<Thread>();
  let choosing: Thread | null = null;
  let next_id = 1;
  let deaths = 0;
  let not_before_ms = 0;
  let closed = false;
  /** One report at a time. */
  let last_report: Promise<void> = Promise.resolve();
  let waiting_reports = 0;

  function start(): Thread {
    const worker = new Worker(options.entry ?? entry, {
      resourceLimits: { maxOldGenerationSizeMb: heap_mib },
      // Not the agent's own options: they may name files and inspectors.
      execArgv: [],
    });
    const thread: Thread = { worker, mirror: createMirrorSender(), waiting: new Map() };
    threads.add(thread);
    // The agent's end does not wait for it.
    worker.unref();
    worker.on('message', (response: WorkerResponse) => {
      const waiting = thread.waiting.get(response.id);
      if (waiting === undefined) return;
      thread.waiting.delete(response.id);
      waiting.cancel();
      if (thread === choosing) deaths = 0;
      if ('answer' in response) waiting.resolve(response.answer);
      else waiting.reject(new Error(response.error));
    });
    worker.on('error', (error: Error) => end(thread, `the placement thread died: ${error.message}`));
    worker.on('messageerror', (error) => end(thread, `the placement thread sent no data: ${error.message}`));
    worker.on('exit', (code) => end(thread, `the placement thread ended with status ${code}`));
    return thread;
  }

  /** Once for each thread. */
  function end(thread: Thread, why: string): void {
    if (!threads.delete(thread)) return;
    for (const { reject, cancel } of thread.waiting.values()) {
      cancel();
      reject(new Error(why));
    }
    thread.waiting.clear();
    void thread.worker.terminate();
    if (thread !== choosing) return;
    choosing = null;
    if (closed) return;
    deaths += 1;
    const pause_ms = Math.min(longest_pause_ms, first_pause_ms * 2 ** (deaths - 1));
    not_before_ms = env.now_ms() + pause_ms;
    env.log('error', 'placement', { error: why, pause_ms });
  }

  function send(
    thread: Thread,
    request: Omit<WorkerRequest, 'id'>,
    timeout_ms: number,
  ): Promise<WorkerAnswer> {
    return new Promise((resolve, reject) => {
      const id = next_id++;
      const cancel = env.after(timeout_ms, () => end(thread, `no answer within ${timeout_ms} ms`));
      thread.waiting.set(id, { resolve, reject, cancel });
      try {
        thread.worker.postMessage({ ...request, id } satisfies WorkerRequest);
      } catch (error) {
        // Nothing of it was sent, but the copy is taken for sent: that thread is of no more use.
        end(thread, `the question cannot be sent: ${(error as Error).message}`);
      }
    });
  }

  function chooser(): Thread {
    if (closed) throw new Error('the agent is ending');
    if (choosing !== null) {
      if (choosing.waiting.size >= most_waiting) throw new Error(`${most_waiting} questions wait already`);
      return choosing;
    }
    const left_ms = not_before_ms - env.now_ms();
    if (left_ms > 0) {
      throw new Error(`its thread died ${deaths} times and is started again in ${Math.ceil(left_ms)} ms`);
    }
    choosing = start();
    return choosing;
  }

  return {
    async answer(view, ask) {
      const thread = chooser();
      const request = { view: thread.mirror.diff(view), ask };
      return (await send(thread, request, options.timeout_ms ?? answer_timeout_ms)) as PlacementAnswer;
    },
    report(view, ask) {
      if (waiting_reports >= most_reports)
        return Promise.reject(new Error(`${most_reports} reports are being worked out: try again later`));
      waiting_reports += 1;
      const made = last_report.then(async () => {
        if (closed) throw new Error('the agent is ending');
        const thread = start();
        try {
          const request = { view: thread.mirror.diff(view), ask: { type: 'report' as const, report: ask } };
          return (await send(thread, request, report_timeout_ms)) as never;
        } finally {
          end(thread, 'done');
        }
      });
      const over = (): void => {
        waiting_reports -= 1;
      };
      last_report = made.then(over, over);
      return made;
    },
    async close() {
      closed = true;
      await Promise.all(
        [...threads].map((thread) => {
          end(thread, 'the agent is ending');
          return thread.worker.terminate();
        }),
      );
    },
  };
}
