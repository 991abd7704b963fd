/**
 * The one desk at which a leader's jobs are given nodes. One request at a time, each on a view that has every choice
 * made before it: those that the state records, and those of this leader that are still on their way there.
 *
 * Where the search itself runs is the {@link PlacementEngine}'s affair: at once in tests and simulations, on a worker
 * thread in an agent.
 */
import type { StateView } from '../config/api.ts';
import { jobKey, stepKey } from '../config/keys.ts';
import { answerAsk } from '../placement/answer-ask.ts';
import type { PlacementAnswer, PlacementAsk, PlacementView } from '../placement/placement-ask.ts';
import { makeReport, type Report, type ReportOf } from '../placement/reports.ts';
import { type Choice, plan_step, recordedChoices } from './choices.ts';
import { createPlacementViewer } from './placement-view.ts';
import { type LiveNode, OpError } from './types.ts';

/** Searches; changes nothing. */
export interface PlacementEngine {
  /** Rejects when there is no answer, with what the matter is. */
  answer(view: PlacementView, ask: PlacementAsk): Promise<PlacementAnswer>;
  /** Takes as long as it takes, and holds up no choice meanwhile. */
  report<R extends Report>(view: PlacementView, ask: R): Promise<ReportOf<R>>;
}

/** On the spot: for tests and simulations. */
export const direct_placement: PlacementEngine = {
  answer: (view, ask) => {
    try {
      return Promise.resolve(answerAsk(view, ask));
    } catch (error) {
      return Promise.reject(error);
    }
  },
  report: async (view, ask) => makeReport(view, ask),
};

/** The choice that an answer means, for the others to see. */
export type ChoiceOf = (node: string) => Choice | null;

export interface PlacementDesk {
  /**
   * @param choiceOf is called with the first node of an answer that has one; what it returns counts until the job has
   * recorded its plan, or its op has ended
   * @throws OpError when there is no answer, or too many wait for one
   */
  choose(ask: PlacementAsk, choiceOf: ChoiceOf): Promise<PlacementAnswer>;
  /** Of the cluster as it is now, with what was chosen. @throws OpError when there is no answer */
  report<R extends Report>(ask: R): Promise<ReportOf<R>>;
}

export interface PlacementDeskDeps {
  readonly state: StateView;
  readonly engine: PlacementEngine;
  live(node_uuid: string): LiveNode | undefined;
}

/** More would wait for longer than a job should. */
export const most_waiting = 200;

export function createPlacementDesk({ state, engine, live }: PlacementDeskDeps): PlacementDesk {
  const viewer = createPlacementViewer(state);
  /** By job: it runs one op at a time. */
  const on_their_way = new Map<number, Choice>();
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();

  function choices(): readonly Choice[] {
    for (const [job, choice] of on_their_way) if (!isOnItsWay(state, choice)) on_their_way.delete(job);
    return [...recordedChoices(state), ...on_their_way.values()];
  }

  async function serve(ask: PlacementAsk, choiceOf: ChoiceOf): Promise<PlacementAnswer> {
    let answer: PlacementAnswer;
    try {
      const about = subjectOf(ask);
      const others = choices().filter((choice) => choice.kind !== 'move' || choice.instance !== about);
      answer = await engine.answer(viewer.view(live, others), ask);
    } catch (error) {
      throw noAnswer(error);
    }
    const chosen = answer.nodes?.[0];
    const choice = chosen === undefined ? null : choiceOf(chosen.node);
    if (choice !== null) on_their_way.set(choice.job, choice);
    return answer;
  }

  return {
    async report(ask) {
      try {
        return await engine.report(viewer.view(live, choices()), ask);
      } catch (error) {
        throw noAnswer(error);
      }
    },
    choose(ask, choiceOf) {
      if (waiting >= most_waiting) {
        const text = `${waiting} jobs wait for placement already; try again`;
        return Promise.reject(new OpError('OpExecError', text, 'temp_insufficient_resources'));
      }
      waiting += 1;
      const served = last.then(() => serve(ask, choiceOf));
      last = served.then(
        () => (waiting -= 1),
        () => (waiting -= 1),
      );
      return served;
    },
  };
}

/** The instance that is asked about is where it is, wherever another job has it go later. */
function subjectOf(ask: PlacementAsk): string | null {
  switch (ask.type) {
    case 'allocate':
      return null;
    case 'relocate':
      return ask.instance;
    case 'admit':
      return ask.instance.uuid;
    default:
      return ask satisfies never;
  }
}

function noAnswer(error: unknown): OpError {
  const why = error instanceof Error ? error.message : String(error);
  return new OpError('OpExecError', `placement gave no answer: ${why}`, 'temp_insufficient_resources');
}

/** Its op runs, and has not recorded its plan: the first thing that ops which choose do. */
function isOnItsWay(state: StateView, { job, op }: Choice): boolean {
  const status = state.get('jobs', jobKey(job))?.ops[op]?.status;
  if (status !== 'running' && status !== 'canceling') return false;
  return state.get('steps', stepKey(job, op, 0))?.name !== plan_step;
}
