/** A machine that is busy is no reason for an election: nobody's term changes while four loops take all the cores. */
import { join } from 'node:path';
import process from 'node:process';
import { type Child, startChild } from './child.ts';
import { nowMs, sleep } from './clock.ts';
import type { Figure } from './figure.ts';
import { measureSeries } from './measure.ts';
import { settled, statusOf, withLab } from './skein-lab.ts';

const loops = 4;
const look_every_ms = 1_000;

export const noElection: Figure = {
  name: 'no-election',
  summary: `changes of term under ${loops} busy loops`,
  root: false,
  needs: [],
  run: (context) =>
    withLab(async (lab) => {
      const { leader, status } = await settled(lab);
      const begun_term = status.get(leader.name)?.term ?? 0;
      const changes = measureSeries(context, 'no-election/changes of term', 'count', {
        kind: 'below',
        value: 1,
      });
      const busy: Child[] = [];
      let seen_term = begun_term;
      let silent = 0;
      let looks = 0;
      try {
        for (let at = 0; at < loops; at++) {
          const log = join(lab.dir, 'busy.log');
          busy.push(await startChild([process.execPath, '-e', 'for (;;);'], { namespace: null, log }));
        }
        for (const end_ms = nowMs() + context.minutes * 60_000; nowMs() < end_ms; ) {
          context.signal.throwIfAborted();
          await sleep(look_every_ms);
          for (const node of lab.nodes) {
            const now = await statusOf(node);
            looks += 1;
            if (!now) silent += 1;
            else if (now.term > seen_term) {
              context.say(
                `no-election: ${node.name} is in term ${now.term}, led by ${now.leader || 'nobody'}`,
              );
              seen_term = now.term;
            }
          }
        }
      } finally {
        await Promise.all(busy.map((child) => child.end(100)));
      }
      const last = await settled(lab);
      changes.add((last.status.get(last.leader.name)?.term ?? 0) - begun_term);
      changes.emit(`${context.minutes} min, ${loops} loops; no answer within 1 s: ${silent} of ${looks}`);
    }),
};
