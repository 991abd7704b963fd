/** The program of a placement thread: keeps a copy of the cluster, answers what is asked of it, one after the other. */
import { parentPort } from 'node:worker_threads';
import { answerAsk } from '../placement/answer-ask.ts';
import { makeReport } from '../placement/reports.ts';
import {
  createMirror,
  type WorkerAnswer,
  type WorkerRequest,
  type WorkerResponse,
} from './placement-mirror.ts';

const mirror = createMirror();

function answerTo({ view: diff, ask }: WorkerRequest): WorkerAnswer {
  const view = mirror.take(diff);
  return ask.type === 'report' ? makeReport(view, ask.report) : answerAsk(view, ask);
}

parentPort?.on('message', (request: WorkerRequest) => {
  let response: WorkerResponse;
  try {
    response = { id: request.id, answer: answerTo(request) };
  } catch (error) {
    response = { id: request.id, error: error instanceof Error ? error.message : String(error) };
  }
  parentPort?.postMessage(response);
});
