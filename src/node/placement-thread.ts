/** The program of a placement thread: keeps a copy of the cluster, answers what is asked of it, one after the other. */
import { parentPort } from 'node:worker_threads';
import { answerAsk } from '../placement/answer-ask.ts';
import { type ClusterReport, reportCluster } from '../placement/cluster-report.ts';
import type { PlacementAnswer } from '../placement/placement-ask.ts';
import { createMirror, type WorkerRequest, type WorkerResponse } from './placement-mirror.ts';

const mirror = createMirror();

function answerTo({ view: diff, ask }: WorkerRequest): PlacementAnswer | ClusterReport {
  const view = mirror.take(diff);
  return ask.type === 'report' ? reportCluster(view, ask) : answerAsk(view, ask);
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
