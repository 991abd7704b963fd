import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fatalStatus, isDiskFull } from './fatal-error.ts';

const withCode = (code: string) => Object.assign(new Error(`${code}: write`), { code });

test('a full disk is known by its code, by the words of LevelDB, and behind other errors', () => {
  for (const error of [
    withCode('ENOSPC'),
    withCode('EDQUOT'),
    Object.assign(new Error('IO error: /d/000005.log: No space left on device'), { code: 'LEVEL_IO_ERROR' }),
    new Error('the state could not be written', { cause: withCode('ENOSPC') }),
  ])
    assert.equal(fatalStatus(error), 71, error.message);
});

test('everything else is fatal, whatever it is', () => {
  const circle = new Error('a circle');
  circle.cause = circle;
  for (const error of [withCode('EIO'), new Error('term went back'), circle, 'ENOSPC', undefined])
    assert.equal(fatalStatus(error), 70);
  assert.equal(isDiskFull(null), false);
});
