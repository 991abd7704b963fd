/**
 * The leader's agent dies, by SIGKILL, at every entry that a job of each opcode writes: just before it (what the step
 * does has happened, the log does not know), while it is on its way, or just after it. The next leader must end the
 * job with the very effects of an undisturbed run, once.
 *
 * Each entry gets one of the three moments, by a rotating seed.
 * SKEIN_TEST_THOROUGH=1 takes all moments of all entries, and SKEIN_TEST_SEED repeats a run.
 */
import { after, before, describe, test } from 'node:test';
import type { LabOptions } from '../../cli/lab/lab.ts';
import { type CrashRuns, createCrashRuns } from './jobs-crash-runs.ts';
import { real_scenarios, type Scenario, scenarios } from './jobs-scenarios.ts';
import { cleanUpOf, withHookedLab } from './jobs-support.ts';

const seed = Number(process.env.SKEIN_TEST_SEED ?? Math.floor(Math.random() * 1_000));
const thorough = process.env.SKEIN_TEST_THOROUGH === '1';

function suite(name: string, all: readonly Scenario[], options: LabOptions): void {
  describe(`${name} (SKEIN_TEST_SEED=${seed})`, () => {
    const cleaning = cleanUpOf(after);
    let runs: CrashRuns;
    before(async () => {
      runs = createCrashRuns(await withHookedLab(cleaning, options));
    });
    for (const [number, scenario] of all.entries()) {
      test(scenario.name, { timeout: 400_000 }, (t) =>
        runs.everyEntry(t, scenario, { seed: seed + number, thorough }),
      );
    }
  });
}

suite('leader death in every step', scenarios, {});
suite('leader death with real guests', real_scenarios, { hypervisor: 'kvm' });
